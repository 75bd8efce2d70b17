"""Says a decision in one line, the way the Fleet page and the Dispatch row show it."""

from scheduling.policy.types import FULL_QUALITY, Alternative, Breakdown, Quality

SHOWN = 3  # alternatives named in the sentence; all of them are stored


def chosen(node: str, parts: Breakdown, others: tuple[Alternative, ...], quality: Quality, lead: str = "") -> str:
    """`edge-gpu-2: 41 ms predicted (upload 6, wait 12, service 23); orin-1 63 ms; jetson-1 140 ms`"""
    spent = f"upload {parts.upload_ms:.0f}, wait {parts.wait_ms:.0f}, service {parts.service_ms:.0f}"
    if parts.rtt_ms >= 0.5:
        spent += f", round trip {parts.rtt_ms:.0f}"
    if parts.margin_ms >= 0.5:
        spent += f", doubt {parts.margin_ms:.0f}"
    at = "" if quality is FULL_QUALITY else f" at {quality.name}"
    head = f"{lead}{node}: {parts.total_ms:.0f} ms predicted{at} ({spent})"
    return "; ".join([head, *listed(others)])


def unsent(why: str, others: tuple[Alternative, ...]) -> str:
    return "; ".join([why, *listed(others)])


def listed(others: tuple[Alternative, ...]) -> list[str]:
    timed = [f"{a.node} {a.predicted_ms:.0f} ms" for a in others if a.predicted_ms is not None]
    closed = [f"{a.node} {a.why_not}" for a in others if a.predicted_ms is None]
    more = [f"{len(timed) - SHOWN} more"] if len(timed) > SHOWN else []
    return [*timed[:SHOWN], *more, *closed[:SHOWN]]
