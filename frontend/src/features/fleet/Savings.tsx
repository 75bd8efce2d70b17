/** What lower quality and skipped descriptions saved. Nothing is shown where no station allows either. */
import { useCallback } from "react";

import { api } from "../../api/client";
import { formatBytes, plural } from "../../domain/format";
import { useResource } from "../../ui/hooks";

const EVERY_MS = 10_000;
const MINUTES = 60;

export function SavingsSection() {
  const answer = useResource(
    useCallback((signal: AbortSignal) => api.savings(MINUTES, signal), []),
    EVERY_MS,
  );
  if (answer.value === null) return null;
  const { ladder, skipped } = answer.value;
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
            {formatBytes(skipped.bytes)}, {plural(skipped.tokens, "token")} and {skipped.seconds.toFixed(1)} s of the
            describer
          </li>
        )}
      </ul>
    </section>
  );
}
