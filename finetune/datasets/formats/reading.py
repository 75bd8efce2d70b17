"""What all readers do in the same way: turn an exception into a Trouble, keep the classes, take what has no label."""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .geometry import BadGeometry
from .sources import NoSuchPicture, PictureIndex, Source, TooMuchText, UnsafeName, folder_of, read_text, stem_of
from .values import BrokenLabels, Found, LabelledFrame, Place, ReadOptions, Region, Split, Trouble, UnreadableSource

MAX_CLASS_LENGTH = 60
SPLIT_WORDS: Mapping[str, Split] = {
    "train": "train", "training": "train", "trainval": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
UNREADABLE = (UnsafeName, NoSuchPicture, TooMuchText, BadGeometry, BrokenLabels, UnicodeDecodeError, OSError)


@dataclass(frozen=True)
class Labels:
    """What one label file says: of which picture, with which Regions, and how large it says the picture is."""

    picture: str
    regions: Iterable[Region | Trouble]
    stated_wh: tuple[int, int] | None


LabelsIn = Callable[[Source, PictureIndex, str, ReadOptions], Labels]


def file_by_file(
    source: Source, options: ReadOptions, labels_in: LabelsIn, *, ending: str, none: UnreadableSource
) -> Iterator[Found]:
    """The frame of each label file, where a format has one for each picture. Raises `none` where there is no file."""
    index, seen = PictureIndex(source), set[str]()
    files = index.ending_with(ending)
    if not files:
        raise none
    splits = split_lists(source, index)
    for name in files:
        try:
            labels = labels_in(source, index, name, options)
        except UNREADABLE as error:
            yield trouble(error, Place(name))
            continue
        yield from _labelled(labels, Place(name), splits, seen)
    yield from unlabelled(index, seen, options, custom="skip")


def _labelled(labels: Labels, place: Place, splits: Mapping[str, Split], seen: set[str]) -> Iterator[Found]:
    picture = labels.picture
    if picture in seen:
        yield Trouble("duplicate_name", place, f"The picture '{picture}' is labelled twice.", "Label it once.")
        return
    seen.add(picture)
    regions, troubles = sorted_out(labels.regions)
    yield from troubles
    split = splits.get(stem_of(picture)) or split_of_path(picture)
    yield LabelledFrame(picture, regions, place, split, stated_wh=labels.stated_wh, left_out=len(troubles))


def trouble(error: BaseException, place: Place) -> Trouble:
    """What `error` means for whoever wrote the label file."""
    if isinstance(error, UnsafeName):
        return Trouble("unsafe_path", place, str(error), "Name pictures by paths inside of the data set.")
    if isinstance(error, NoSuchPicture):
        return Trouble("no_picture", place, str(error), "Add it, or take its labels out.")
    if isinstance(error, TooMuchText):
        return Trouble("too_long", place, str(error), "Split it into several files.")
    if isinstance(error, BadGeometry):
        return Trouble("bad_region", place, str(error), "The region was left out.")
    if isinstance(error, BrokenLabels):
        return Trouble("broken_labels", Place(place.file, error.line), str(error), "Write the file again.")
    if isinstance(error, UnicodeDecodeError):
        return Trouble("broken_labels", place, "The file is no UTF-8 text.", "Save it as UTF-8.")
    return Trouble("unreadable", place, f"The file cannot be read: {getattr(error, 'strerror', None) or error}.")


def class_trouble(name: object, place: Place, options: ReadOptions) -> Trouble | None:
    """Why `name` cannot be a class, or None."""
    if not isinstance(name, str) or not name.strip():
        return Trouble("bad_class", place, "The region has no class.", "Give it a name.")
    if len(name) > MAX_CLASS_LENGTH or not name.isprintable():
        return Trouble("bad_class", place, f"'{name[:40]}' is no name of a class.", "Use up to 60 plain letters.")
    if options.classes and name not in options.classes:
        known = ", ".join(options.classes[:8])
        return Trouble("unknown_class", place, f"The class '{name}' is not one of: {known}.", "Add or rename it.")
    return None


def sorted_out(found: Iterable[Region | Trouble | None]) -> tuple[tuple[Region, ...], list[Trouble]]:
    """The Regions of a frame, and what could not be one."""
    regions, troubles = [], []
    for one in found:
        if isinstance(one, Trouble):
            troubles.append(one)
        elif one is not None:
            regions.append(one)
    return tuple(regions), troubles


def split_of_path(name: str) -> Split | None:
    """By the folders of a path: `images/train/a.png`, `valid/a.png`, `train2017/a.png`."""
    for part in reversed(folder_of(name).split("/")):
        word = part.lower().rstrip("0123456789_-")
        if word in SPLIT_WORDS:
            return SPLIT_WORDS[word]
    return None


def split_lists(source: Source, index: PictureIndex) -> dict[str, Split]:
    """Which stems stand in `train.txt`, `val.txt` and `test.txt`, at the root or in VOC's ImageSets/Main."""
    splits: dict[str, Split] = {}
    for name in index.ending_with(".txt"):
        word, in_voc = stem_of(name).lower(), folder_of(name).endswith("ImageSets/Main")
        if word not in SPLIT_WORDS or (folder_of(name) and not in_voc) or (in_voc and word == "trainval"):
            continue  # VOC's trainval repeats the other two
        for line in read_text(source, name).splitlines():
            if line.strip():
                splits[stem_of(line.split()[0].replace("\\", "/"))] = SPLIT_WORDS[word]
    return splits


def unlabelled(index: PictureIndex, seen: Iterable[str], options: ReadOptions, *, custom: str) -> Iterator[Found]:
    """The pictures that no label speaks of: frames without defects, or one Trouble that counts them."""
    known = set(seen)
    others = [name for name in index.pictures if name not in known]
    if (options.unlabelled or custom) == "good":
        for name in others:
            yield LabelledFrame(name, (), Place(name), split=split_of_path(name))
    elif others:
        first = posixpath.basename(others[0])
        detail = f"{len(others):,} pictures have no labels ('{first}' is the first); they were left out."
        yield Trouble("unlabelled", Place(others[0]), detail, "Choose 'good' for them if they show no defect.")
