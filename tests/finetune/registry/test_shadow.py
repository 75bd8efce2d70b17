"""The shadow: what a version that is only tried says, against what counted; and that a line tries one at a time."""

from pathlib import Path
from typing import Any

import pytest

from aivd_web.kernel.errors import Conflict, Unprocessable
from finetune.registry import services, shadow
from inspections.models import Detection, Line, ShadowAnswer, Step
from tests.cast import Cast, add_description, add_detection, describer, frame_row
from tests.finetune.registry.test_registry import registered


def said(detection: Detection, digest: str, answer: dict[str, Any], **more: Any) -> ShadowAnswer:
    values = {"served_model": describer(), "node": "node-cloud-1", "valid": bool(answer), "latency_ms": 40.0}
    return ShadowAnswer.objects.create(detection=detection, digest=digest, answer=answer, **values | more)


def test_agreement_is_counted_over_regions_that_both_have_described(cast: Cast, tmp_path: Path) -> None:
    version, other = registered(cast, tmp_path, 1), registered(cast, tmp_path, 2)
    regions = [add_detection(frame_row(cast.station)) for _ in range(5)]
    for region in regions[:4]:
        add_description(region)  # it calls each "open"
    said(regions[0], version.digest, {"defect_class": "open"})
    said(regions[1], version.digest, {"defect_class": "short"})
    said(regions[2], version.digest, {})  # an answer that fits no schema
    said(regions[3], other.digest, {"defect_class": "short"})
    said(regions[4], version.digest, {"defect_class": "short"})  # nothing to compare it with yet

    assert shadow.figures(version) == shadow.Figures(seen=3, agreed=1, latency_ms=40.0, live_latency_ms=80.0)
    found = shadow.disagreements(version, limit=10)
    assert [(each.detection_id, each.said, each.live) for each in found] == [  # type: ignore[attr-defined]
        (regions[2].pk, None, "open"),
        (regions[1].pk, "short", "open"),
    ]
    assert len(shadow.disagreements(version, limit=1)) == 1


def test_a_version_without_answers_has_no_figures_yet(cast: Cast, tmp_path: Path) -> None:
    assert shadow.figures(registered(cast, tmp_path, 1)) == shadow.Figures(0, 0, None, None)


def test_a_line_tries_one_version_at_a_time(cast: Cast, tmp_path: Path) -> None:
    first, second = registered(cast, tmp_path, 1), registered(cast, tmp_path, 2)
    elsewhere = registered(cast, tmp_path, 1, line=cast.other_line)
    shadow.start(version=first, share=0.25, by="alice")
    shadow.start(version=elsewhere, share=1, by="alice")

    for again in (first, second):
        with pytest.raises(Conflict, match="describer adapter v1 is in the shadow already"):
            shadow.start(version=again, share=0.5, by="alice")
    line = Line.objects.get(pk=cast.line.pk)
    assert (line.shadow_describer, line.shadow_share, line.describer) == (first.digest, 0.25, "")


def test_the_end_of_a_trial_withdraws_what_waits_and_holds_nothing_up(cast: Cast, tmp_path: Path) -> None:
    version = registered(cast, tmp_path, 1)
    shadow.start(version=version, share=1, by="alice")
    frame = frame_row(cast.station)
    step = Step.objects.create(frame=frame, kind="shadow", beside=True, deadline_at=frame.deadline_at)

    ended = shadow.end(version=version)

    assert ended.ended_at is not None
    step.refresh_from_db()
    assert (step.state, step.error_detail) == ("skipped", "The trial in the shadow has ended.")
    assert Line.objects.get(pk=cast.line.pk).shadow_describer == ""
    with pytest.raises(Conflict, match="is not in the shadow"):
        shadow.end(version=version)


@pytest.mark.parametrize("share", [0, -1, 1.01])
def test_a_share_is_a_share(cast: Cast, tmp_path: Path, share: float) -> None:
    with pytest.raises(Unprocessable, match="above 0 and at most 1"):
        shadow.start(version=registered(cast, tmp_path, 1), share=share, by="alice")


def test_a_version_whose_weights_are_gone_is_not_tried(cast: Cast, tmp_path: Path) -> None:
    version = registered(cast, tmp_path, 1)
    (services.folder_of(version) / "lineage.json").unlink()

    with pytest.raises(Conflict, match="damaged in the store"):
        shadow.start(version=version, share=1, by="alice")
