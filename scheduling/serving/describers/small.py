"""aivd-small: the describer that ships, a Qwen2-VL of a few million parameters on a decode loop of its own.

All crops of a batch are written at once, every token held to the grammar, so each answer is valid JSON in the schema.
Where the processor multiplies bfloat16, the products use it. The confidence is the probability the model gave to the
class it chose. Knows nothing about Triton or about how the weights came to be.
"""

import codecs
import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from scheduling.serving.answers import class_options, clean_text, complete_answer, read_answer
from scheduling.serving.contracts import (
    AnswerEvent,
    Describer,
    RegionRequest,
    Rgb,
    SizeWh,
    TokenEvent,
    class_names_fault,
)
from scheduling.serving.crops import letterbox
from scheduling.serving.describers import SMALL, SMALL_FOLDER
from scheduling.serving.describers.adapters import Adapter
from scheduling.serving.describers.small_drafts import ORDER, Drafts
from scheduling.serving.describers.small_forward import BLANK, Layout, Shape, Writer, see
from scheduling.serving.describers.small_grammar import DEAD, LONGEST_TEXT_BYTES, Grammar
from scheduling.serving.describers.small_tokens import FRAME, AnswerTokens
from scheduling.serving.model_folder import RefusedFiles, check_folder, digest_of, read_json

Pair = tuple[Rgb, Rgb | None]
"""A crop and the same cut of the golden template, where there is one."""

BATCH: Final = 16
"""Crops written together; more would make the first token of each wait longer."""

CLASSES_FILE: Final = "classes.json"
"""Of the model's folder: the classes that it was trained for."""

LONGEST_GUESS: Final = 3
"""Tokens guessed at once. More would rarely all stand, and each makes the pass a little longer."""

SPARE_SLOTS: Final = 128
"""Places of the cache that guesses may waste, beyond those an answer of the greatest length needs."""


def open_describer(spec: str, *, threads: int) -> Describer:
    """`aivd-small`, or a folder of the same make."""
    if spec == SMALL:
        return SmallDescriber(SMALL_FOLDER, threads=threads, name=SMALL)
    return SmallDescriber(Path(spec), threads=threads, name=Path(spec).name)


class SmallDescriber:
    """Describes crops with the shipped architecture; `folder` holds weights, configuration and tokenizer."""

    def __init__(self, folder: Path, *, threads: int, name: str, adapter: Adapter | None = None) -> None:
        files = check_folder(folder)
        self._folder, self._threads = folder, threads
        torch.set_num_threads(threads)
        self.shape = small_shape(folder)
        self.tokens = AnswerTokens.load(folder / "tokenizer.json")
        self.class_names = adapter.class_names if adapter else trained_classes(folder)
        self.hint_tokens = int(read_json(folder / CLASSES_FILE).get("hint_tokens", 0))
        self.name, self.digest = name, adapter.digest if adapter else digest_of(files)
        self.version = self.digest[:12]
        self.runtime = f"torch {torch.__version__} cpu, {threads} thread{'s' if threads > 1 else ''}"
        self._weights = {key: value.float() for path in files for key, value in load_file(path).items()}
        if adapter:
            self._weights = adapter.merged(self._weights)
        self._dtype = torch.bfloat16 if torch.cpu.get_capabilities().get("avx512_bf16") else torch.float32
        self._prepare()

    def adapted(self, adapter: Adapter) -> "SmallDescriber":
        """Another describer: this one's base with the adapter merged into it. Raises RefusedFiles."""
        adapter.check_base(self._folder)
        return SmallDescriber(self._folder, threads=self._threads, name=self.name, adapter=adapter)

    def _prepare(self) -> None:
        try:
            self._writer = Writer(self._weights, self.shape, self._dtype)
        except KeyError as error:
            raise RefusedFiles(f"The weights lack {error.args[0]}.") from None
        if self._writer.words.shape != (self.tokens.size, self.shape.width):
            raise RefusedFiles("The tokenizer and the weights do not belong together: their vocabularies differ.")
        self._eyes = {name: value.to(self._dtype) for name, value in self._weights.items() if "visual" in name}
        cosines, sines = self.shape.vision_tables()
        self._tables = cosines.to(self._dtype), sines.to(self._dtype)
        self._drafts = Drafts()
        self._grammar = lru_cache(maxsize=32)(lambda names: Grammar(self.tokens, names))

    def describe(
        self,
        crops: Sequence[Rgb],
        regions: Sequence[RegionRequest],
        *,
        class_names: Sequence[str],
        frame_size_wh: SizeWh,
        is_cancelled: Callable[[], bool],
        templates: Sequence[Rgb | None] | None = None,
    ) -> Iterator[TokenEvent | AnswerEvent]:
        """See `Describer`. The tokens of a region joined together are its answer's raw text.

        `templates[i]`, where there is one, is the same cut of the golden template as `crops[i]`.
        """
        if len(crops) != len(regions):
            raise ValueError(f"{len(crops)} crops for {len(regions)} regions")
        known = [name for name in class_names if name in self.class_names]
        faults = [self._cannot_say(region, known, class_names) for region in regions]
        for region, fault in zip(regions, faults, strict=True):
            if fault:
                yield AnswerEvent(region.region_id, {}, "", valid=False, errors=(fault,), tokens=0)
        able = [index for index, fault in enumerate(faults) if not fault]
        golden = templates or [None] * len(crops)
        chosen = [(crops[index], golden[index]) for index in able], [regions[index] for index in able]
        yield from self._described(*chosen, class_options(known), frame_size_wh, is_cancelled)

    def _described(
        self,
        crops: Sequence[Pair],
        regions: Sequence[RegionRequest],
        options: tuple[str, ...],
        frame_size_wh: SizeWh,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[TokenEvent | AnswerEvent]:
        for start in range(0, len(crops), BATCH):
            if is_cancelled():
                return
            group = regions[start : start + BATCH]
            writing = self._start(crops[start : start + BATCH], group, options)
            while (pieces := writing.step()) is not None:
                for row, texts in pieces:
                    for text in texts:
                        if is_cancelled():
                            return
                        yield TokenEvent(group[row].region_id, text)
                    if writing.is_done(row):
                        yield self._answer(group[row], writing, row, options, frame_size_wh)

    def _cannot_say(self, region: RegionRequest, known: Sequence[str], class_names: Sequence[str]) -> str:
        """Why the region cannot be described, or "". Of classes that it has never seen, it would say "no defect"."""
        trained = f"this describer was trained for {', '.join(self.class_names)}"
        if not known:
            asked = clean_text(", ".join(class_names))[:300] or "none"
            return f"unknown class list: {trained}; it was asked for {asked}"
        if region.detector_class and region.detector_class not in self.class_names:
            return f"unknown class {clean_text(region.detector_class)[:60]!r}: {trained}"
        return ""

    @torch.inference_mode()
    def _start(self, crops: Sequence[Pair], regions: Sequence[RegionRequest], options: tuple[str, ...]) -> "Writing":
        hints = [(region.detector_class, region.score) for region in regions]
        inputs = self._read(*squares_of(crops, self.shape.layout), hints)
        return Writing(self._writer, inputs, self._grammar(options), self.tokens, self._drafts)

    def _read(
        self, squares: Rgb, templates: Rgb | None = None, hints: Sequence[tuple[str, float] | None] | None = None
    ) -> Tensor:
        """(B, T, D): the prefix with each crop's image tokens and its hint in their places."""
        patches = self.shape.layout.patches(squares, templates).to(self._dtype)
        image = see(self._eyes, self.shape, patches, self._tables).float()
        count = self.shape.layout.image_tokens
        prefix = [
            self.tokens.prefix(count, self.tokens.hint_ids(hint, self.hint_tokens))
            for hint in hints or [None] * len(squares)
        ]
        words = self._writer.words[torch.tensor(prefix)]
        return torch.cat([words[:, :1], image, words[:, 1 + image.shape[1] :]], dim=1)

    def _answer(
        self, region: RegionRequest, writing: "Writing", row: int, options: Sequence[str], frame_size_wh: SizeWh
    ) -> AnswerEvent:
        raw_text = writing.texts[row]
        answer, errors = read_answer(raw_text, options)
        if not errors:
            answer = complete_answer(answer, box_xyxy=region.box_xyxy, frame_size_wh=frame_size_wh)
        return AnswerEvent(region.region_id, answer, raw_text, not errors, errors, writing.count(row))


def squares_of(crops: Sequence[Pair], layout: Layout) -> tuple[Rgb, Rgb]:
    """Crops and their templates as the squares that a model sees, both (B, side, side, 3)."""
    side = layout.side_px
    blank = np.full((side, side, 3), BLANK, np.uint8)
    golden = [blank if template is None else letterbox(template, side) for _, template in crops]
    return np.stack([letterbox(crop, side) for crop, _ in crops]), np.stack(golden)


def small_shape(folder: Path) -> Shape:
    """The shape that a folder's configuration says."""
    settings = read_json(folder / "preprocessor_config.json")
    side_px = math.isqrt(int(settings.get("size", {}).get("longest_edge", 0)))
    return Shape.read(read_json(folder / "config.json"), side_px)


def trained_classes(folder: Path) -> tuple[str, ...]:
    """The classes of a describer's folder. Raises RefusedFiles where it does not say what it was trained for."""
    names = read_json(folder / CLASSES_FILE).get("class_names")
    if not isinstance(names, list) or (fault := class_names_fault(names)):
        raise RefusedFiles(f"{CLASSES_FILE} holds no class_names: {fault if isinstance(names, list) else 'no list'}.")
    return tuple(names)


class Writing:
    """A batch of answers being written: one step gives each unfinished row its next pieces of text.

    A step feeds each row its last token and a guess at those after it. Where the model's own choices agree with the
    guess, they count as written; the text is the same as without guessing, in fewer passes.
    """

    def __init__(self, model: Writer, inputs: Tensor, grammar: Grammar, tokens: AnswerTokens, drafts: Drafts) -> None:
        rows, length, _ = inputs.shape
        self._model, self._grammar, self._tokens, self._drafts = model, grammar, tokens, drafts
        self._room = model.shape.longest - length
        self._cache = model.start(rows, model.shape.longest + SPARE_SLOTS)
        self._inputs: Tensor = inputs
        self._guesses: list[list[int]] = [[] for _ in range(rows)]
        self._follow = torch.from_numpy(grammar.follow)
        self._rows = list(range(rows))
        self._states = [0] * rows
        self._text_bytes = [0] * rows
        self._decoders = [codecs.getincrementaldecoder("utf-8")("replace") for _ in range(rows)]
        self._written: list[list[int]] = [[] for _ in range(rows)]
        self.texts = [""] * rows
        self.probability = [1.0] * rows
        self.passes = 0

    def is_done(self, row: int) -> bool:
        return self._states[row] == self._grammar.done

    def count(self, row: int) -> int:
        return len(self._written[row])

    @torch.inference_mode()
    def step(self) -> list[tuple[int, list[str]]] | None:
        """The next pieces, a token each, of each unfinished row; None when all are done. Done rows cost nothing."""
        if not self._rows:
            return None
        longest = max(len(self._guesses[row]) for row in self._rows)
        chosen, shares = self._choose(self._model.forward(self._inputs, self._cache, outputs=1 + longest))
        self.passes += 1
        pieces = [
            (row, self._take(row, *both))
            for row, both in zip(self._rows, zip(chosen, shares, strict=True), strict=True)
        ]
        surplus = self._inputs.shape[1] - 1 - longest  # the prefix, in the first step
        self._cache.keep([surplus + len(texts) for _, texts in pieces])
        self._drop_done()
        if self._rows:
            self._inputs = self._next_inputs()
        return pieces

    def _drop_done(self) -> None:
        left = [place for place, row in enumerate(self._rows) if not self.is_done(row)]
        if 0 < len(left) < len(self._rows):
            self._cache.drop_all_but(left)
        self._rows = [self._rows[place] for place in left]

    def _choose(self, logits: Tensor) -> tuple[list[list[int]], list[list[float]]]:
        """The likeliest token after each input, among those the grammar allows there, and its share."""
        states = self._guessed_states(logits.shape[1])
        logits = logits.masked_fill(self._follow[states] == DEAD, -torch.inf)
        chosen = logits.argmax(-1)
        shares = logits.softmax(-1).gather(-1, chosen[..., None])[..., 0]
        return chosen.tolist(), shares.tolist()

    def _guessed_states(self, count: int) -> Tensor:
        """(B, count): where the grammar is after each row's guess so far."""
        states = [[self._states[row]] * count for row in self._rows]
        for of_row, row in zip(states, self._rows, strict=True):
            for place, token in enumerate(self._guesses[row]):
                of_row[place + 1 :] = [int(self._grammar.follow[of_row[place], token])] * (count - place - 1)
        return torch.tensor(states)

    def _take(self, row: int, chosen: Sequence[int], shares: Sequence[float]) -> list[str]:
        """Write the model's choices as long as the guess that led to each of them was its choice too."""
        pieces = []
        for token, share, guess in zip(chosen, shares, [*self._guesses[row], None], strict=False):
            if self._states[row] < self._grammar.class_states:
                self.probability[row] *= share
            expected = self._grammar.follow[self._states[row], token]
            pieces.append(self._write_one(row, token))
            if token != guess or self._states[row] != expected or self.is_done(row):
                break
        return pieces

    def _next_inputs(self) -> Tensor:
        """(B, T, D): each row's last token and its guess, padded."""
        can_guess = self._cache.free - LONGEST_GUESS - 1 > self._room - min(self.count(row) for row in self._rows)
        for row in self._rows:
            self._guesses[row] = self._guess(row) if can_guess else []
        length = 1 + max(len(self._guesses[row]) for row in self._rows)
        ids = [[self._written[row][-1], *self._guesses[row]] for row in self._rows]
        return self._model.words[torch.tensor([row + [self._tokens.pad_id] * (length - len(row)) for row in ids])]

    def _guess(self, row: int) -> list[int]:
        """The tokens that may come next: where the grammar leaves no choice that one, else what came last time."""
        guess: list[int] = []
        state, written = self._states[row], self._written[row][-ORDER:]
        while len(guess) < LONGEST_GUESS:
            only = int(self._grammar.only[state])
            token = self._drafts.next(written) if only == DEAD else only
            state = DEAD if token is None else int(self._grammar.follow[state, token])
            if token is None or state in (DEAD, self._grammar.done):
                break
            guess.append(token)
            written.append(token)
        return guess

    def _write_one(self, row: int, token: int) -> str:
        """Take a token into the row's state; its text, with the frame that the node itself writes."""
        piece = self._tokens.bytes_of[token]
        state = int(self._grammar.follow[self._states[row], token])
        fixed = token in self._tokens.frame_ids
        self._text_bytes[row] = 0 if fixed else self._text_bytes[row] + len(piece)
        if self._text_bytes[row] > LONGEST_TEXT_BYTES or self._must_end(row):
            state = self._grammar.ending_of(state)
        self._states[row] = state
        text = FRAME[0] if not self._written[row] else ""
        text += self._decoders[row].decode(piece)
        if state == self._grammar.done:
            text += json.dumps(round(self.probability[row], 2)) + "}"
        self._drafts.learn(self._written[row], token)
        self._written[row].append(token)
        self.texts[row] += text
        return text

    def _must_end(self, row: int) -> bool:
        """Whether the room is nearly used up: three texts may each still need a few tokens to close."""
        return len(self._written[row]) > self._room - 24
