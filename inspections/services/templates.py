"""Give a Station its golden template: a defect-free picture of the part, of the size that its frames have.

The Node compares each frame with it from the next one on. A template of another size would hold every frame, and
one with a defect would hide that defect, so both are refused before anything changes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from django.conf import settings
from django.db import transaction

from aivd_web.kernel.errors import Unprocessable
from inspections.events import numbering
from inspections.media import storage
from inspections.media.pictures import check_template
from inspections.models import Decision, Frame, Station

from .judgement import GOOD, standing


class TemplateSize(Unprocessable):
    code = "template_size"
    hint = "Use a picture of the same camera at the same resolution, not cut and not scaled."


class NotGolden(Unprocessable):
    code = "not_golden"
    hint = "Choose a frame that passed, or judge this one good first."


@dataclass(frozen=True)
class _Golden:
    sha256: str
    width: int
    height: int


def set_template(*, station: Station, data: BinaryIO | bytes, by: str) -> Station:
    """Keep the picture and use it from the next frame on. Raises IngestError or TemplateSize."""
    with storage.received(data, max_bytes=settings.MAX_UPLOAD_BYTES) as upload:
        picture = check_template(upload.path, bit_depth=station.bit_depth)
        golden = _Golden(upload.sha256, picture.width, picture.height)
        return _use(station, golden, by, keep=lambda: storage.keep(upload))


def set_template_from_frame(*, station: Station, frame: Frame, by: str) -> Station:
    """Use a Frame of this Station that nobody found a defect on. Raises NotGolden or TemplateSize."""
    if frame.station_id != station.pk:
        raise NotGolden("This frame is of another station.", hint="Choose a frame of the station itself.")
    _check_golden(frame)
    return _use(station, _Golden(frame.sha256, frame.width, frame.height), by)


@transaction.atomic
def clear_template(*, station: Station, by: str) -> Station:
    """Inspect without a template from the next frame on."""
    if station.template_sha256:
        _write(station, "", by)
    return station


@transaction.atomic
def _use(station: Station, golden: _Golden, by: str, *, keep: Callable[[], object] = lambda: None) -> Station:
    _check_size(station, golden)
    keep()  # on disk before any row names it
    _write(station, golden.sha256, by)
    return station


def _check_golden(frame: Frame) -> None:
    """A person's word goes before the machine's; without one the machine must have passed it."""
    if frame.bit_depth == 0:
        raise NotGolden("The grey levels of this frame cannot be scaled with certainty.", hint="Choose another frame.")
    review = standing(frame.reviews.all())
    if review is not None:
        if review.part != GOOD:
            raise NotGolden("The verdict that stands does not say that this part is good.")
        return
    outcome = Decision.objects.filter(frame=frame).values_list("outcome", flat=True).first()
    if outcome != Decision.Outcome.PASS:
        said = f"was decided '{outcome}'" if outcome else "is not decided yet"
        raise NotGolden(f"This frame {said}, and nobody has judged it good.")


def _check_size(station: Station, golden: _Golden) -> None:
    """Against the newest frame: that is what the camera sends now."""
    newest = Frame.objects.filter(station=station).order_by("-id").values_list("width", "height").first()
    if newest is not None and newest != (golden.width, golden.height):
        raise TemplateSize(
            f"The template is {golden.width} x {golden.height} pixels, "
            f"and this station's frames are {newest[0]} x {newest[1]}."
        )


def _write(station: Station, sha256: str, by: str) -> None:
    station.template_sha256 = sha256
    station.save(update_fields=["template_sha256"])
    data = {"station": station.pk, "changed": ["template"], "by": by}
    numbering.record(line_id=station.line_id, type="station.configured", data=data)
