"""Have a version that is only tried describe the same regions, on a share of a line's frames, when there is spare room.

Nobody acts on what it says: it is kept apart, the Frame is complete without it, and a trial that fails harms no Frame.
It is due at once, so late from the start: every Step of the live way comes before it.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aivd_web.kernel.database import Moment
from inspections.models import Detection, Frame, Station, Step
from inspections.pipeline import findings, steps
from inspections.pipeline.stage import Stages
from scheduling.client.answers import DescribeAnswer
from scheduling.client.inference import DescribeInference
from scheduling.dispatch.values import Answer
from scheduling.policy.types import FULL_QUALITY, Quality

from .describe import DescribeStage

KIND = "shadow"
SHADOW_LOOK_AHEAD = 4


@dataclass
class ShadowStage(DescribeStage):
    kind = KIND
    title = "Try a version in the shadow"
    look_ahead = SHADOW_LOOK_AHEAD
    gives_way = True
    has_ladder = False  # it is to be compared, not hurried

    def wanted(self, frame: Frame, believed: Sequence[Detection]) -> bool:
        line = frame.line
        return bool(line.shadow_describer) and drawn(frame, line.shadow_share) and super().wanted(frame, believed)

    def begun(self, frame: Frame, believed: Sequence[Detection], now: Moment) -> Step:
        step = super().begun(frame, believed, now)
        step.deadline_at, step.beside = now, True
        return step

    def among(self, believed: Sequence[Detection], station: Station) -> list[Detection]:
        return self.counting(believed, station)

    def build(self, frame: Frame, quality: Quality = FULL_QUALITY) -> DescribeInference:
        version = frame.line.shadow_describer
        if not version:
            raise steps.NotWanted("The trial in the shadow has ended.")
        return replace(super().build(frame, quality), version=version, tokens=Unheard())

    def commit(
        self, *, claim: steps.Claim, frame: Frame, answer: Answer[DescribeAnswer], stages: Stages, now: Moment
    ) -> None:
        findings.commit_shadow(claim=claim, answer=answer)


def drawn(frame: Frame, share: float) -> bool:
    """Whether the Frame is in the share: by its id, so that asking twice gives one answer."""
    return zlib.crc32(frame.pk.bytes) < share * 2**32


class Unheard:
    """Viewers see the live answer being written, and not this one."""

    def restart(self) -> None: ...

    def heard(self, event: Mapping[str, Any]) -> None: ...
