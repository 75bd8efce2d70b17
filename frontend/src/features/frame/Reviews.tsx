/** What people said of the frame: who, when, with which marks; which word stands, and where two contradict. */
import type { Review } from "../../api/types";
import { ago, exactTime, plural } from "../../domain/format";
import { PART_WORDS, quarrelIn, wordOf } from "../../domain/judgement";
import { Notice, ReviewChip } from "../../ui/parts";
import { ON_ITS_WAY } from "./useJudging";

export function Reviews({ reviews, now }: { reviews: readonly Review[]; now: number }) {
  if (reviews.length === 0) return <p className="hint">Nobody has judged this frame yet.</p>;
  return (
    <ul className="reviews">
      {reviews.map((review) => (
        <li key={review.id} data-stands={review.stands}>
          <ReviewChip review={review} />
          <span>
            {review.reviewer}{" "}
            <time className="hint" dateTime={review.at} title={exactTime(review.at)}>
              {ago(review.at, now)}
            </time>
            {review.marks.length > 0 && <span className="hint">, {plural(review.marks.length, "mark")}</span>}
            {review.id === ON_ITS_WAY && <span className="hint">, on its way</span>}
            {review.stands && review.id !== ON_ITS_WAY && <b className="stands"> stands</b>}
            {review.note !== "" && <q>{review.note}</q>}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Two people who contradict each other are told, and whose word it is that stands. */
export function Quarrel({ reviews, now }: { reviews: readonly Review[]; now: number }) {
  const quarrel = quarrelIn(reviews);
  if (quarrel === null) return null;
  const { stands, others } = quarrel;
  return (
    <Notice>
      {others.map((other) => (
        <p key={other.id}>
          {other.reviewer} said {said(other)} {ago(other.at, now)}, {stands.reviewer} says {said(stands)}.
        </p>
      ))}
      <p>The latest stands: {said(stands)}. Talk it over, or judge again.</p>
    </Notice>
  );
}

function said(review: Review): string {
  const word = wordOf(review);
  return word === null ? "nothing of the part" : PART_WORDS[word].toLowerCase();
}
