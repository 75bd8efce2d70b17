/** The demo line: the server generates boards and sends them through the stream like any camera. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api } from "../../api/client";
import { queries } from "../../api/queries";
import type { DemoState } from "../../api/types";
import { plural } from "../../domain/format";
import { Icon } from "../../ui/icons";
import { useMessages } from "../../ui/toasts";

const RATES_PER_S = [0.5, 1, 2, 5];
const BOARDS = 500;

export function DemoPanel({ station }: { station: number }) {
  const { complain } = useMessages();
  const [rate, setRate] = useState(1);
  const cache = useQueryClient();
  const asked = queries.demo(station);
  const { data: demo } = useQuery(asked);
  const running = demo?.running === true;
  const toggle = useMutation({
    mutationFn: () => (running ? api.stopDemo(station) : api.startDemo(station, rate, BOARDS)),
    onSuccess: (now) => cache.setQueryData(asked.queryKey, now),
    onError: complain,
  });

  return (
    <section className="source">
      <h2>Demo line</h2>
      <p className="hint">Generated circuit boards, most with defects.</p>
      <div className="row">
        <label className="visually-hidden" htmlFor="demo-rate">
          Boards a second
        </label>
        <select
          id="demo-rate"
          className="select"
          value={rate}
          disabled={running}
          onChange={(event) => setRate(Number(event.target.value))}
        >
          {RATES_PER_S.map((value) => (
            <option key={value} value={value}>
              {value} {value > 1 ? "boards" : "board"}/s
            </option>
          ))}
        </select>
        <button
          type="button"
          className={`button${running ? "" : " primary"}`}
          disabled={toggle.isPending}
          onClick={() => toggle.mutate()}
        >
          <Icon name={running ? "stop" : "play"} />
          {running ? "Stop demo" : "Start demo"}
        </button>
      </div>
      {demo !== undefined && demo.state !== "none" && <Progress demo={demo} />}
    </section>
  );
}

function Progress({ demo }: { demo: DemoState }) {
  if (demo.error !== "") return <p role="alert">{demo.error}</p>;
  return (
    <p className="hint" role="status">
      {demo.sent} of {plural(demo.count, "board")} sent, {demo.accepted} stored
      {demo.refused > 0 && `, ${demo.refused} refused`}
    </p>
  );
}
