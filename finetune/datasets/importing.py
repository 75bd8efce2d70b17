"""Bring pictures and labels into a dataset: ask for it, carry it out, go on where it stopped.

An import reads its source from the start each time and passes over what it has taken already, so it can be killed at
any moment. What is wrong with one picture is noted with file and line, and the rest goes on.
"""

import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from aivd_web.kernel.errors import AivdError, Unavailable
from aivd_web.kernel.text import storable
from finetune import leases
from finetune.datasets import archive_source, pictures
from finetune.datasets import services as datasets
from finetune.datasets.errors import BadSource, UnknownFormat
from finetune.datasets.formats import FORMATS
from finetune.datasets.formats.geometry import placed
from finetune.datasets.formats.reading import UNREADABLE, trouble
from finetune.datasets.formats.sources import FolderSource, Source, is_picture
from finetune.datasets.formats.values import Found, LabelledFrame, Place, ReadOptions, Trouble, UnreadableSource
from finetune.leases import Held, LeaseLost
from finetune.models import Dataset, DatasetItem, ImportJob, ImportTrouble, ItemRegion, State
from inspections.media import storage
from inspections.models import DefectClass, Line
from inspections.services import lines, vocabulary
from inspections.services.vocabulary import ClassName

LEASE = timedelta(seconds=60)
TELL_EVERY_S = 1.0
MAX_TROUBLES_KEPT = 2_000
MAX_PATTERN = 200


@dataclass(frozen=True)
class ImportOptions:
    """`add_classes`: names that the line does not know become classes of it. `group`: a regular expression whose first
    bracket, found in a picture's name, is the group that it stays in one split with."""

    unlabelled: str = ""
    add_classes: bool = False
    group: str = ""

    def check(self) -> None:
        """Raises BadSource for what is no regular expression."""
        try:
            if len(self.group) > MAX_PATTERN or (self.group and re.compile(self.group).groups < 1):
                raise re.error("no bracket")
        except re.error:
            raise BadSource(
                f"'{self.group[:60]}' is no pattern with a bracket in it.", hint=r"For example '^(\d{5})'."
            ) from None


@dataclass(frozen=True)
class Survey:
    """What a source holds by its labels alone; no picture was opened."""

    frames: int
    without_defects: int
    regions: Counter[str]
    troubles: int


# -- ask for it -------------------------------------------------------------------------------------


def survey(*, format: str, folder: Path, options: ImportOptions = ImportOptions()) -> Survey:
    """Read all labels of the folder. Raises UnknownFormat or BadSource."""
    frames = good = troubles = 0
    regions = Counter[str]()
    with _said_as_error():
        for found in _format(format).read(FolderSource(folder), _read_options(options, ())):
            if isinstance(found, Trouble):
                troubles += 1
                continue
            frames, good = frames + 1, good + (not found.regions)
            regions.update(region.class_name for region in found.regions)
    return Survey(frames, good, regions, troubles)


def from_folder(*, dataset: Dataset, format: str, folder: Path, options: ImportOptions, by: str) -> ImportJob:
    """An import from a folder of this machine, for those who work on it. Raises UnknownFormat or BadSource."""
    _format(format)
    options.check()
    with _said_as_error():
        FolderSource(folder)
    return ImportJob.objects.create(
        dataset=dataset, format=format, source=str(folder.resolve()), options=asdict(options), created_by=by
    )


def from_archive(
    *, dataset: Dataset, format: str, data: BinaryIO, name: str, options: ImportOptions, by: str
) -> ImportJob:
    """An import of a zip that somebody sent. Raises UnknownFormat, BadSource or IngestError."""
    _format(format)
    options.check()
    with storage.received(data, max_bytes=settings.MAX_ARCHIVE_BYTES) as upload:
        with _said_as_error(), archive_source.opened(upload.path):
            pass  # what is no archive is said now and not in a minute
        storage.keep(upload)
    return ImportJob.objects.create(
        dataset=dataset,
        format=format,
        source=storable(name, most=200),
        archive=upload.sha256,
        options=asdict(options),
        created_by=by,
    )


def new_line(*, site: str, name: str, product: str, classes: list[str], dataset: str, by: User) -> Dataset:
    """The line, station and classes of a product that nobody knew yet, and its dataset: all or nothing."""
    with transaction.atomic():
        entries = [ClassName(each) for each in classes]
        line, _ = lines.make(site=site, name=name, classes=entries, station="Camera 1", product=product, by=by)
        return datasets.make(line=line, name=dataset, product=product, by=by.get_username())


def _format(name: str) -> Any:
    if name not in FORMATS:
        raise UnknownFormat(f"There is no format '{name[:40]}'.", hint=f"Choose one of {', '.join(FORMATS)}.")
    return FORMATS[name]


class _said_as_error(AbstractContextManager[None]):  # noqa: N801 - reads as a word in a with statement
    """What cannot be read as a whole is an answer to whoever asked."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, UnreadableSource):
            raise BadSource(error.detail, hint=error.hint) from None


# -- carry it out -----------------------------------------------------------------------------------


def carry_out(job_id: int) -> State | None:
    """Import until it is done, or somebody wants something else. None: it is another's, or nobody's, by now."""
    held = leases.claim(ImportJob, job_id, lease=LEASE)
    if held is None:
        return None
    try:
        _Import(held).run()
    except LeaseLost:
        return None
    except UnreadableSource as error:
        held.end(State.FAILED, code="bad_source", detail=error.detail, hint=error.hint)
    except Unavailable as error:
        held.end(State.QUEUED, code=error.code, detail=error.detail, hint=error.hint)
    except AivdError as error:
        held.end(State.FAILED, code=error.code, detail=error.detail, hint=error.hint)
    return State(held.row.state)


class _Import:
    """One pass over the source."""

    def __init__(self, held: Held[ImportJob]) -> None:
        self.held, self.job = held, held.row
        self.options = ImportOptions(**self.job.options)
        self.dataset = self.job.dataset
        self.classes = {entry.name: entry for entry in DefectClass.objects.filter(line_id=self.dataset.line_id)}
        self.taken = {str(name) for name in self.dataset.items.filter(job=self.job).values_list("name", flat=True)}
        self.done = 0
        self.troubles = self.job.troubles.count()
        self.troubles_count = self.troubles
        self.told_at = time.monotonic()

    def run(self) -> None:
        with self._source() as source:
            self.held.write(total=sum(map(is_picture, source.names())), done=0)
            known = () if self.options.add_classes else tuple(self.classes)
            for found in FORMATS[self.job.format].read(source, _read_options(self.options, known)):
                self._take(source, found)
                if not self._may_go_on():
                    return
        self.held.end(State.SUCCEEDED, **self._counts())

    def _source(self) -> AbstractContextManager[Source]:
        if self.job.archive:
            return archive_source.opened(storage.picture_path(_Archive(self.job.archive)))
        return nullcontext(FolderSource(Path(self.job.source)))

    def _may_go_on(self) -> bool:
        """Tell how far it is, now and then, and hear whether somebody wants it to stop."""
        if time.monotonic() - self.told_at < TELL_EVERY_S:
            return True
        self.told_at = time.monotonic()
        wish = self.held.wish()
        if wish:
            self.held.end(State.CANCELLED if wish == "cancel" else State.PAUSED, **self._counts())
            return False
        self.held.write(**self._counts())
        return True

    def _counts(self) -> dict[str, Any]:
        return {"done": self.done, "taken": len(self.taken), "troubles_count": self.troubles}

    def _take(self, source: Source, found: Found) -> None:
        if isinstance(found, Trouble):
            self._note([found])
            return
        self.done += 1
        if storable(found.picture, most=500) in self.taken:
            return
        try:
            with source.opened(found.picture) as data:
                kept = pictures.take_in(data)
            template = self._template(source, found)
        except Unavailable:
            raise  # nothing is wrong with the picture
        except AivdError as error:
            if error.retry_after_s is not None:
                raise Unavailable(error.detail, hint=error.hint, retry_after_s=error.retry_after_s) from None
            self._note([Trouble(error.code, Place(found.picture), error.detail, error.hint)])
            return
        except UNREADABLE as error:
            self._note([trouble(error, Place(found.picture))])
            return
        regions, troubles = placed(found, kept.width, kept.height)
        self._note(troubles)
        if not regions and (troubles or found.left_out):
            return  # to call it free of defects would be a lie
        self._write(found, kept, template, regions)

    def _template(self, source: Source, found: LabelledFrame) -> dict[str, Any]:
        if found.template is None:
            return {}
        with source.opened(found.template) as data:
            kept = pictures.take_in(data)
        return {
            "template_sha256": kept.sha256,
            "template_bit_depth": kept.bit_depth,
            "template_has_rendition": kept.has_rendition,
        }

    def _write(self, found: LabelledFrame, kept: pictures.KeptPicture, template: dict[str, Any], regions: Any) -> None:
        name = storable(found.picture, most=500)
        with transaction.atomic():
            self.held.write(**self._counts())  # first: whoever has lost the lease writes no item
            item, created = DatasetItem.objects.get_or_create(
                dataset=self.dataset,
                sha256=kept.sha256,
                defaults={
                    **asdict(kept),
                    **template,
                    "job": self.job,
                    "name": name,
                    "group": self._group(found),
                    "stated_split": found.split or "",
                    "look": pictures.look_of(kept),
                },
            )
            if created:
                ItemRegion.objects.bulk_create(self._row(item, region) for region in regions)
        if created:
            self.taken.add(name)
        else:
            detail = f"The dataset has this very picture already, as '{item.name}'."
            self._note([Trouble("duplicate_picture", Place(found.picture), detail, "The first one was kept.")])

    def _group(self, found: LabelledFrame) -> str:
        if self.options.group:
            match = re.search(self.options.group, found.picture.rsplit("/", 1)[-1])
            return storable(match.group(1) or "", most=200) if match else ""
        return storable(found.group, most=200)

    def _row(self, item: DatasetItem, region: Any) -> ItemRegion:
        x, y, w, h = region.box_xywh
        entry = self.classes.get(region.class_name) or self._add_class(region.class_name)
        polygon = [list(point) for point in region.polygon] if region.polygon else None
        text = dict(region.text) if region.text else None
        return ItemRegion(
            item=item, defect_class=entry, x=x, y=y, w=w, h=h, polygon=polygon, text=text, source="import"
        )

    def _add_class(self, name: str) -> DefectClass:
        self.classes[name] = add_class(self.dataset.line, name)
        return self.classes[name]

    def _note(self, troubles: list[Trouble]) -> None:
        """Keep what went wrong; beyond a bound it is only counted."""
        for one in troubles:
            if self.troubles < MAX_TROUBLES_KEPT:
                key = hashlib.sha256(f"{one.code}|{one}".encode(errors="replace")).hexdigest()
                made = ImportTrouble.objects.bulk_create([_trouble_row(self.job, key, one)], ignore_conflicts=True)
                self.troubles = self.job.troubles.count() if made else self.troubles
            else:
                self.troubles += 1


@dataclass
class _Archive:
    sha256: str


def add_class(line: Line, name: str) -> DefectClass:
    """The class of this name, made where the line has none."""
    (entry,) = vocabulary.checked([ClassName(name)])
    position = DefectClass.objects.filter(line=line).count() + 1
    return DefectClass.objects.get_or_create(
        line=line,
        name=entry.name,
        defaults={
            "title": entry.title,
            "position": position,
            "colour_index": (position - 1) % vocabulary.COLOURS,
        },
    )[0]


def _trouble_row(job: ImportJob, key: str, one: Trouble) -> ImportTrouble:
    return ImportTrouble(
        job=job,
        key=key,
        code=one.code,
        file=storable(one.place.file, most=500),
        line=one.place.line,
        entry=storable(one.place.entry, most=80),
        detail=storable(one.detail, most=2000),
        hint=one.hint,
    )


def _read_options(options: ImportOptions, classes: tuple[str, ...]) -> ReadOptions:
    return ReadOptions(classes=classes, unlabelled=options.unlabelled)  # type: ignore[arg-type]


def waiting() -> Iterator[int]:
    """Imports that nobody works on, the oldest first."""
    yield from ImportJob.objects.filter(state=State.QUEUED).order_by("id").values_list("pk", flat=True)
