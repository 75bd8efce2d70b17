/** One frame as it goes its way: picture with boxes, decision, what is being written, where and how fast. */
import { memo } from "react";

import type { Frame, Region } from "../../api/types";
import { isWriting, type Typing } from "../../domain/frameFeed";
import { ago, exactTime, formatMs, plural } from "../../domain/format";
import { holdWords } from "../../domain/holdReason";
import { readableSoFar } from "../../domain/partialAnswer";
import { STAGES } from "../../domain/stages";
import { whyUndescribed } from "../../domain/undescribed";
import { Icon, type IconName } from "../../ui/icons";
import { Boxes, ClassName, DecisionChip, ReviewChip } from "../../ui/parts";

const REGIONS_SHOWN = 2;

interface Props {
  frame: Frame;
  typing: ReadonlyMap<string, Typing>;
  waitFor: string | null;
  now: number;
}

/** One link a card, over all of it: one stop for the keyboard, one name for a screen reader. */
export const FrameCard = memo(function FrameCard({ frame, typing, waitFor, now }: Props) {
  const review = frame.reviews[0];
  return (
    <li className="frame-card panel" data-frame={frame.id} data-state={frame.state}>
      <div className="picture">
        <img
          key={frame.id}
          src={frame.urls.thumbnail}
          width={frame.width}
          height={frame.height}
          alt=""
          decoding="async"
        />
        <Boxes regions={frame.regions} sizeWh={[frame.width, frame.height]} />
      </div>
      <div className="body">
        <div className="top">
          <DecisionChip outcome={frame.decision?.outcome ?? null} />
          {review !== undefined && <ReviewChip review={review} />}
          <time dateTime={frame.received_at} title={exactTime(frame.received_at)}>
            {ago(frame.received_at, now)}
          </time>
        </div>
        <p className="where">
          <a href={`/frames/${frame.id}/`}>{nameOf(frame)}</a>{" "}
          <span className="hint">{frame.station.name}</span>
        </p>
        <Findings frame={frame} typing={typing} waitFor={waitFor} />
        <Facts frame={frame} />
      </div>
    </li>
  );
});

function nameOf(frame: Frame): string {
  return [frame.part_id, frame.name].find((name) => name !== null && name !== "") ?? frame.id.slice(-8);
}

/** As much as fits whole: a hold with its reason and one region, or else two regions; the rest is counted. */
function Findings({ frame, typing, waitFor }: Omit<Props, "now">) {
  const held = frame.decision?.outcome === "hold" ? frame.decision : null;
  if (frame.regions.length === 0 && held === null) {
    return <p className="findings hint">{frame.decision?.reason ?? waitingFor(frame)}</p>;
  }
  const shown = frame.regions.slice(0, held === null ? REGIONS_SHOWN : 1);
  const more = frame.regions.length - shown.length;
  return (
    <div className="findings">
      {held !== null && (
        <p className="hold-reason" title={held.reason}>
          {holdWords(held) !== null && <b>Held: {holdWords(held)}. </b>}
          {held.reason}
        </p>
      )}
      <ul>
        {shown.map((region, index) => (
          <li key={region.id} data-region={region.id}>
            <div className="found">
              <ClassName of={region.defect_class} score={region.score} />
              {more > 0 && index === shown.length - 1 && (
                <span className="hint">
                  +{more}
                  <span className="visually-hidden"> more regions</span>
                </span>
              )}
            </div>
            <Words region={region} typing={typing.get(region.id)} waitFor={waitFor} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function waitingFor(frame: Frame): string {
  return frame.state === "queued" ? "Stored. Waiting for a node." : "A node is looking at it.";
}

/** What the model wrote, or is writing. Always text nodes, whatever it wrote. */
interface WordsProps {
  region: Region;
  typing: Typing | undefined;
  waitFor: string | null;
}

function Words({ region, typing, waitFor }: WordsProps) {
  const { description } = region;
  if (typing !== undefined && isWriting(region)) {
    return (
      <p className="machine-text words writing" data-tokens={typing.tokens}>
        <span>{readableSoFar(typing.text)}</span>
        <span className="caret" />
        <span className="tokens">{plural(typing.tokens, "token")}</span>
      </p>
    );
  }
  if (description === null) return null;
  if (description.state === "done")
    return (
      <p className="machine-text words">
        {description.text?.appearance ?? "Described, without words on its appearance."}
      </p>
    );
  if (description.state === "invalid")
    return <p className="words hint">The model's answer could not be used.</p>;
  return <p className="words hint">{whyUndescribed(region, waitFor)}</p>;
}

/** Lists carry no dispatches, but steps and descriptions know their node and their time. */
function Facts({ frame }: { frame: Frame }) {
  const node = (kind: string) => frame.steps.find((step) => step.kind === kind)?.node ?? null;
  return (
    <dl className="card-facts">
      {STAGES.map(({ kind, icon, did, tookMs }) => (
        <Fact key={kind} icon={icon} label={`${did} on`} node={node(kind)} ms={tookMs(frame)} />
      ))}
    </dl>
  );
}

interface FactProps {
  icon: IconName;
  label: string;
  node: string | null;
  ms: number | null;
}

function Fact({ icon, label, node, ms }: FactProps) {
  if (node === null) return null;
  return (
    <div title={`${label} ${node}`}>
      <dt>
        <Icon name={icon} />
        <span className="visually-hidden">{label}</span>
      </dt>
      <dd>
        <span className="node-name">{node}</span> {typeof ms === "number" && <b>{formatMs(ms)}</b>}
      </dd>
    </div>
  );
}
