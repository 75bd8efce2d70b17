"""Visual-semantic co-augmentation: one place of a frame becomes another crop, another question and its answer.

The visual side moves the box as detectors do, changes the context, the light, the texture, the scale and the
compression; the semantic side changes the wording of the question, the order of its options, the hint from the
detector (also to a wrong one) and words of the answer that mean the same. What an answer says about the place stays
true under every change: texts that name directions are kept only where the crop is not turned, and location, size
and severity are computed from the box. Pure functions of their arguments and of a seeded generator.
OpenCV rather than a transforms library: crops have no boxes or masks inside that would have to move along.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeAlias

import cv2
import numpy as np
from msgspec import Meta

from finetune.training.lora.box_errors import BoxErrors, moved
from scheduling.serving.answers import NO_DEFECT, complete_answer
from scheduling.serving.contracts import BoxXyxy, Rgb, SizeWh
from scheduling.serving.crops import CONTEXT_RATIO, cut_crop
from scheduling.serving.prompts import ASKS, ask

WINDOW_RATIO: Final = 4.2
"""How much of a frame is kept around a place: enough for context 2.5 around a box that is half as large again."""

DIRECTIONS: Final = re.compile(
    r"\b(left|right|above|below|upper|lower|top|bottom|horizontal|vertical|diagonal|flat|upright|slanted)\b", re.I
)
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "mark": ("spot", "blemish"),
    "looks good": ("is fine", "shows nothing wrong"),
    "Inspect": ("Examine", "Check"),
    "Remove": ("Take off", "Clear away"),
    "visible": ("to be seen",),
}


@dataclass(frozen=True)
class Augmentation:
    """How far examples depart from the perfect crop with the perfect question. All shares are 0..1."""

    replayed_share: Share = 0.5
    """Boxes moved by an error of the edge detector, where some were fitted; the others get synthetic noise."""
    box_noise: Share = 0.35
    """Synthetic: the largest share by which a centre is off and the logarithm by which a side is."""
    far_share: Share = 0.5
    """Of the synthetic ones, those with all of that noise; the others have a quarter of it."""
    context: tuple[float, float] = (1.0, 2.5)
    context_share: Share = 0.35
    """Crops with a context drawn from all of `context`; the others have about that of service."""
    light: Share = 0.8
    texture: Share = 0.4
    scale: Share = 0.3
    jpeg: Share = 0.6
    turned: bool = True
    paraphrase: bool = True
    shuffled: bool = True
    synonyms: Share = 0.3
    hint_missing: Share = 0.25
    hint_wrong: Share = 0.1
    template_missing: Share = 0.3


PLAIN: Final = Augmentation(
    replayed_share=0.0, box_noise=0.0, context_share=0.0, light=0.0, texture=0.0, scale=0.0, jpeg=0.0, turned=False,
    paraphrase=False, shuffled=False, synonyms=0.0, hint_missing=1.0, hint_wrong=0.0, template_missing=0.0,
)  # fmt: skip
"""True boxes as they are, the context of service, one question: what is fine-tuned without this file's help."""


@dataclass(frozen=True, eq=False)
class Place:
    """A window of a frame around a box, with what is known about what lies in the box.

    `window_xy` is the window's corner in the frame; the pictures are kept as PNG, since a run keeps thousands. `said`
    is what the detector said here, when the place is one of its own boxes.
    """

    frame: str
    window_png: bytes
    template_png: bytes | None
    window_xy: tuple[int, int]
    frame_size_wh: SizeWh
    box_xyxy: BoxXyxy
    defect_class: str
    text: Mapping[str, str] = field(default_factory=dict)
    said: tuple[str, float] | None = None
    own_box: bool = False
    """Whether the box is the detector's own, so that it needs no further error of it."""

    @property
    def window(self) -> Rgb:
        return _pixels(self.window_png)

    @property
    def template(self) -> Rgb | None:
        return None if self.template_png is None else _pixels(self.template_png)


@dataclass(frozen=True, eq=False)
class Example:
    """What the model is shown and what it should answer."""

    frame: str
    box_xyxy: BoxXyxy
    crop: Rgb
    template: Rgb | None
    hint: tuple[str, float] | None
    question: str
    answer: Mapping[str, str]
    """`defect_class`, and those of the texts that are known."""
    computed: Mapping[str, str]
    """`location`, `size` and `severity`, from the box."""


def cut_place(
    frame: str,
    picture: Rgb,
    template: Rgb | None,
    box: BoxXyxy,
    defect_class: str,
    text: Mapping[str, str],
    *,
    said: tuple[str, float] | None = None,
    own_box: bool = False,
) -> Place:
    """The place of a box in a frame, with enough around it for every augmentation."""
    height, width = picture.shape[:2]
    grow_x, grow_y = ((WINDOW_RATIO - 1) / 2 * (box[2 + i] - box[i]) for i in (0, 1))
    left, top = max(0, math.floor(box[0] - grow_x)), max(0, math.floor(box[1] - grow_y))
    right, bottom = min(width, math.ceil(box[2] + grow_x)), min(height, math.ceil(box[3] + grow_y))
    cut = _png(picture[top:bottom, left:right])
    golden = None if template is None else _png(template[top:bottom, left:right])
    return Place(frame, cut, golden, (left, top), (width, height), box, defect_class, text, said, own_box)


def augmented(
    place: Place, how: Augmentation, errors: BoxErrors, class_names: Sequence[str], rng: np.random.Generator
) -> Example:
    """One example of a place, the same for the same generator."""
    box = clipped(disturbed_box(place, how, errors, rng), place.frame_size_wh)
    ratio = context_ratio(how, rng)
    x, y = place.window_xy
    inside = (box[0] - x, box[1] - y, box[2] - x, box[3] - y)
    crop = cut_crop(place.window, inside, ratio)
    keeps_template = rng.random() >= how.template_missing
    template = place.template if keeps_template else None
    golden = None if template is None else cut_crop(template, inside, ratio)
    crop = disturbed_picture(crop, how, rng)
    turn = tuple(bool(one) for one in rng.random(3) < 0.5) if how.turned else (False, False, False)
    pictures = [turned(one, turn) if one is not None else None for one in (crop, golden)]
    hint = hinted(place, how, errors, class_names, rng)
    answer = answer_for(place, how, turn, rng)
    full = complete_answer(dict(answer), box_xyxy=box, frame_size_wh=place.frame_size_wh)
    computed = {name: str(full[name]) for name in ("location", "size", "severity")}
    question = question_for(how, class_names, hint, rng, template=pictures[1] is not None)
    assert pictures[0] is not None
    return Example(place.frame, box, pictures[0], pictures[1], hint, question, answer, computed)


def _png(picture: Rgb) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])


def _pixels(png: bytes) -> Rgb:
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


# --- visual


def disturbed_box(place: Place, how: Augmentation, errors: BoxErrors, rng: np.random.Generator) -> BoxXyxy:
    """The place's box as a detector might have drawn it: one of its own errors, or synthetic noise."""
    replayed = rng.random() < how.replayed_share
    if place.own_box and replayed:
        return place.box_xyxy
    drawn = errors.draw(place.defect_class, rng) if replayed else None
    if drawn is None:
        most = how.box_noise * (1.0 if rng.random() < how.far_share else 0.25)
        drawn = tuple(float(value) for value in rng.uniform(-most, most, 4))  # type: ignore[assignment]
        assert drawn is not None
    return moved(place.box_xyxy, drawn)


def clipped(box: BoxXyxy, size_wh: SizeWh) -> BoxXyxy:
    """The part of a box inside the frame, at least one pixel."""
    x0, y0 = min(max(box[0], 0.0), size_wh[0] - 1.0), min(max(box[1], 0.0), size_wh[1] - 1.0)
    return x0, y0, min(max(box[2], x0 + 1), float(size_wh[0])), min(max(box[3], y0 + 1), float(size_wh[1]))


def context_ratio(how: Augmentation, rng: np.random.Generator) -> float:
    """The context of service, or one drawn from the recipe's range."""
    wide = rng.random() < how.context_share
    drawn = float(rng.uniform(*how.context))
    return drawn if wide else CONTEXT_RATIO


def disturbed_picture(crop: Rgb, how: Augmentation, rng: np.random.Generator) -> Rgb:
    """Other light, texture, resolution and compression, each now and then."""
    steps = ((how.light, other_light), (how.texture, other_texture), (how.scale, other_scale), (how.jpeg, compressed))
    for share, step in steps:
        if rng.random() < share:
            crop = step(crop, rng)
    return crop


def other_light(crop: Rgb, rng: np.random.Generator) -> Rgb:
    """Gamma, gain and offset, and a lamp that falls off to one side."""
    gamma, gain = math.exp(rng.normal(0, 0.25)), float(rng.uniform(0.8, 1.2))
    table = np.clip(255 * gain * (np.arange(256) / 255) ** gamma + rng.normal(0, 6), 0, 255).astype(np.uint8)
    out = np.asarray(cv2.LUT(crop, table), np.uint8)
    if rng.random() < 0.3:
        height, width = out.shape[:2]
        slope_x, slope_y = rng.uniform(-0.25, 0.25, 2)
        fall = 1 + slope_x * np.linspace(-1, 1, width)[None, :] + slope_y * np.linspace(-1, 1, height)[:, None]
        out = np.clip(out * fall[..., None], 0, 255).astype(np.uint8)
    return out


def other_texture(crop: Rgb, rng: np.random.Generator) -> Rgb:
    """Grain of the sensor, coarse or fine, or a little blur."""
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(crop, (0, 0), float(rng.uniform(0.3, 1.3))), np.uint8)
    height, width = crop.shape[:2]
    coarse = int(rng.integers(1, 4))
    size = max(1, height // coarse), max(1, width // coarse)
    grain = rng.normal(0, rng.uniform(1, 10), size).astype(np.float32)
    grain = np.asarray(cv2.resize(grain, (width, height)), np.float32).reshape(height, width, 1)
    return np.clip(crop + grain, 0, 255).astype(np.uint8)


def other_scale(crop: Rgb, rng: np.random.Generator) -> Rgb:
    """As a camera of fewer pixels would have seen it."""
    height, width = crop.shape[:2]
    share = float(rng.uniform(0.45, 0.9))
    size = max(2, round(width * share)), max(2, round(height * share))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def compressed(crop: Rgb, rng: np.random.Generator) -> Rgb:
    """A quality of the ladder that the scheduler sends crops at."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))]
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", crop, quality)[1], cv2.IMREAD_COLOR), np.uint8)


def turned(picture: Rgb, turn: Sequence[bool]) -> Rgb:
    """One of the eight ways to lay a picture: transposed, mirrored, flipped."""
    transposed, mirrored, flipped = turn
    out = picture.transpose(1, 0, 2) if transposed else picture
    out = out[:, ::-1] if mirrored else out
    out = out[::-1] if flipped else out
    return np.ascontiguousarray(out)


# --- semantic


def answer_for(place: Place, how: Augmentation, turn: Sequence[bool], rng: np.random.Generator) -> dict[str, str]:
    """The class, and the texts that are still true of the turned crop, some of their words exchanged."""
    answer = {"defect_class": place.defect_class}
    for name, text in place.text.items():
        if any(turn) and DIRECTIONS.search(text):
            continue
        answer[name] = other_words(text, rng) if rng.random() < how.synonyms else text
    return answer


def other_words(text: str, rng: np.random.Generator) -> str:
    """The text with one word exchanged for another that means the same, where the table knows one."""
    known = [word for word in SYNONYMS if re.search(rf"\b{re.escape(word)}\b", text)]
    if not known:
        return text
    word = known[int(rng.integers(len(known)))]
    others = SYNONYMS[word]
    return re.sub(rf"\b{re.escape(word)}\b", others[int(rng.integers(len(others)))], text, count=1)


def hinted(
    place: Place, how: Augmentation, errors: BoxErrors, class_names: Sequence[str], rng: np.random.Generator
) -> tuple[str, float] | None:
    """What the model hears from the detector: nothing, what it said or would say, or now and then something wrong."""
    missing, wrong, other = rng.random(), rng.random(), class_names[int(rng.integers(len(class_names)))]
    said = place.said or errors.draw_said(place.defect_class, rng)
    score = said[1] if said else float(rng.uniform(0.5, 1.0))
    if missing < how.hint_missing:
        return None
    if place.own_box and place.said:
        return place.said
    if wrong < how.hint_wrong or place.defect_class == NO_DEFECT:
        return other, score
    return (said[0] if said else place.defect_class), score


def question_for(
    how: Augmentation,
    class_names: Sequence[str],
    hint: tuple[str, float] | None,
    rng: np.random.Generator,
    *,
    template: bool = False,
) -> str:
    """The question in one of its wordings, its options in some order; with a `template` it names the second picture."""
    wording = ASKS[int(rng.integers(len(ASKS)))] if how.paraphrase else ASKS[0]
    names = [class_names[int(i)] for i in rng.permutation(len(class_names))] if how.shuffled else list(class_names)
    said, score = hint or ("", 0.0)
    return ask(class_names=names, detector_class=said, score=score, ask=wording, template=template)


def preview(
    places: Sequence[Place],
    how: Augmentation,
    errors: BoxErrors,
    class_names: Sequence[str],
    *,
    seed: int,
    count: int = 16,
) -> list[Example]:
    """`count` examples as a run would train on them, of places drawn over all classes in turn."""
    by_class: dict[str, list[Place]] = {}
    for place in places:
        by_class.setdefault(place.defect_class, []).append(place)
    rng = np.random.default_rng((seed, 16))
    chosen = []
    for number in range(count if by_class else 0):
        of_class = by_class[sorted(by_class)[number % len(by_class)]]
        chosen.append(of_class[int(rng.integers(len(of_class)))])
    return [augmented(place, how, errors, class_names, rng) for place in chosen]
