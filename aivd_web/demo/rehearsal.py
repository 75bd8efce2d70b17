"""Send generated boards through the public doors, follow what becomes of them, and compare with what was drawn.

Knows no Django: it has a base URL, a station and a token, like an integrator's program.
"""

import asyncio
import json
import statistics
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from finetune.boards import Board, encode_jpeg, generate_board

from .follower import Follower
from .stream_client import Outgoing, StreamClient

SAME_BOX_IOU = 0.33  # as the authors of DeepPCB count
HTTP_TIMEOUT = httpx.Timeout(30.0)


@dataclass(frozen=True)
class Target:
    """Where to send, and with what right."""

    base_url: str
    line_id: int
    station_id: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def socket_url(self, path: str) -> str:
        return f"ws{self.base_url.removeprefix('http')}{path}"


@dataclass
class Sent:
    """One board and what became of it. `door` is rest or stream; `frame` is the Frame JSON at the end."""

    board: Board
    door: str
    key: str
    frame_id: str = ""
    frame: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    sent: list[Sent]
    summary: dict[str, Any]

    @property
    def good(self) -> bool:
        """All complete, none lost or doubled, every description valid."""
        s = self.summary
        return (
            s["complete"] == s["frames"] > 0
            and s["lost"] == s["doubled"] == 0
            and s["descriptions_valid"] == s["descriptions"]
            and not s["faults"]
        )


def boards(*, seed: int, with_defects: int, without: int) -> list[Board]:
    """Boards of which `without` have no defect, spread among the others."""
    total = with_defects + without
    clean = {round((n + 1) * total / (without + 1)) - 1 for n in range(without)}
    return [generate_board(seed + n, defects=0 if n in clean else None) for n in range(total)]


async def rehearse(
    target: Target, *, rest: Sequence[Board], stream: Sequence[Board], run: str, timeout_s: float = 180.0
) -> Verdict:
    """Send `rest` by POST and `stream` by websocket, wait until all are complete, and read the results."""
    sent = [Sent(board, "rest", f"{run}-r{n}") for n, board in enumerate(rest)]
    sent += [Sent(board, "stream", f"{run}-s{n}") for n, board in enumerate(stream)]
    async with httpx.AsyncClient(
        base_url=target.base_url, headers=target.headers, timeout=HTTP_TIMEOUT, trust_env=False
    ) as http:
        events_url = target.socket_url(f"/ws/v1/lines/{target.line_id}/events")
        async with Follower(events_url, target.token) as follower:
            await _post_all(http, target, [one for one in sent if one.door == "rest"])
            await _stream_all(target, [one for one in sent if one.door == "stream"])
            accepted = {one.frame_id for one in sent if one.frame_id}
            await follower.wait_for("frame.complete", accepted, timeout_s=timeout_s)
        for one in sent:
            if one.frame_id:
                one.frame = (await http.get(f"/api/v1/frames/{one.frame_id}")).raise_for_status().json()
    return Verdict(sent, _summary(sent, follower))


async def _post_all(http: httpx.AsyncClient, target: Target, sent: Sequence[Sent]) -> None:
    for one in sent:
        answer = await http.post(
            f"/api/v1/stations/{target.station_id}/frames",
            content=encode_jpeg(one.board.image),
            headers={"Content-Type": "image/jpeg", "Idempotency-Key": one.key},
        )
        one.frame_id = answer.raise_for_status().json()["frames"][0]["id"]


async def _stream_all(target: Target, sent: Sequence[Sent]) -> None:
    by_key = {one.key: one for one in sent}

    def answered(key: str, message: dict[str, Any]) -> None:
        by_key[key].frame_id = str(message.get("frame", ""))

    async def frames() -> AsyncIterator[Outgoing]:
        for one in sent:
            yield Outgoing(one.key, await asyncio.to_thread(encode_jpeg, one.board.image))

    url = target.socket_url(f"/ws/v1/stations/{target.station_id}/stream")
    await StreamClient(url, target.token, on_answer=answered).send_all(frames())


def _summary(sent: Sequence[Sent], follower: Follower) -> dict[str, Any]:
    accepted = [one for one in sent if one.frame_id]
    complete = [one for one in accepted if one.frame.get("state") == "complete"]
    descriptions = [
        region["description"] for one in complete for region in one.frame["regions"] if region["description"]
    ]
    drawn, found = _recalled(complete)
    completions = follower.seen("frame.complete")
    twice = sum(count - 1 for frame, count in completions.items() if count > 1)
    twice += len(accepted) - len({one.frame_id for one in accepted})
    decided_ms = [one.frame["decision"]["latency_ms"] for one in complete if one.frame["decision"]]
    complete_ms = [one.frame["latency_ms"] for one in complete if one.frame.get("latency_ms") is not None]
    return {
        "frames": len(sent),
        "complete": len(complete),
        "recall": round(found / drawn, 4) if drawn else None,
        "descriptions": len(descriptions),
        "descriptions_valid": sum(description["state"] == "done" for description in descriptions),
        "lost": len(accepted) - len(complete),
        "doubled": twice,
        "p50_ms": _percentile(decided_ms, 50),
        "p95_ms": _percentile(decided_ms, 95),
        "complete_p50_ms": _percentile(complete_ms, 50),
        "complete_p95_ms": _percentile(complete_ms, 95),
        "token_messages": follower.hints["describe.token"],
        "faults": follower.faults,
    }


def _recalled(sent: Sequence[Sent]) -> tuple[int, int]:
    """How many defects were drawn, and how many of them have a counting region of their class over them."""
    drawn = found = 0
    for one in sent:
        regions = [
            (region["defect_class"]["name"], region["box_xyxy"])
            for region in one.frame["regions"]
            if region.get("counts", True)
        ]
        for defect in one.board.defects:
            drawn += 1
            found += any(
                name == defect.defect_class and iou(box, defect.box_xyxy) >= SAME_BOX_IOU for name, box in regions
            )
    return drawn, found


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes `(x1, y1, x2, y2)`."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _percentile(values: Sequence[float], percent: int) -> float | None:
    if not values:
        return None
    if len(values) == 1:
        return round(values[0], 1)
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 1)


def table(verdict: Verdict) -> str:
    """One row a board, for people."""
    rows = [f"{'door':<7}{'frame':<10}{'drawn':>6}{'found':>6}  {'decision':<9}{'ms':>7}  first description"]
    for one in verdict.sent:
        frame = one.frame
        regions = [region for region in frame.get("regions", []) if region.get("counts", True)]
        decision = frame.get("decision") or {}
        texts = [r["description"]["text"] for r in regions if r.get("description") and r["description"].get("text")]
        first = json.dumps(texts[0].get("appearance", ""))[:60] if texts else ""
        rows.append(
            f"{one.door:<7}{one.frame_id[-8:]:<10}{len(one.board.defects):>6}{len(regions):>6}  "
            f"{decision.get('outcome', '-'):<9}{decision.get('latency_ms', 0):>7.0f}  {first}"
        )
    return "\n".join(rows)
