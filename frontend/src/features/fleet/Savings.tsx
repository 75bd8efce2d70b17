/** What lower quality and skipped descriptions saved. Nothing is shown where no station allows either. */
import { useQuery } from "@tanstack/react-query";

import { queries } from "../../api/queries";
import { formatBytes, plural } from "../../domain/format";

const MINUTES = 60;

export function SavingsSection() {
  const { data } = useQuery(queries.savings(MINUTES));
  if (data === undefined) return null;
  const { ladder, skipped } = data;
  if (ladder.requests === 0 && skipped.regions === 0) return null;
  return (
    <section className="savings" aria-labelledby="savings-title">
      <h2 id="savings-title">Saved in the last hour</h2>
      <ul className="panel padded">
        {ladder.requests > 0 && (
          <li>
            {plural(ladder.requests, "request")} sent in lower quality: {formatBytes(ladder.bytes)} less
          </li>
        )}
        {skipped.regions > 0 && (
          <li>
            {plural(skipped.regions, "region")} not described, because the edge is sure: about{" "}
            {formatBytes(skipped.bytes)}, {plural(skipped.tokens, "token")} and {skipped.seconds.toFixed(1)} s
            of the describer
          </li>
        )}
      </ul>
    </section>
  );
}
