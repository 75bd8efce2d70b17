"""aivd-small: the describer that ships, a Qwen2-VL of a few million parameters on a decode loop of its own.

All crops of a batch are written at once, one token a step, each step held to the grammar, so every answer is valid
JSON in the schema. The confidence is the probability the model gave to the class it chose. Knows nothing about
Triton or about how the weights came to be.
"""

import codecs
import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor

from scheduling.serving.answers import class_options, complete_answer, read_answer
from scheduling.serving.contracts import AnswerEvent, RegionRequest, Rgb, SizeWh, TokenEvent
from scheduling.serving.crops import letterbox
from scheduling.serving.describers.small_forward import Shape, Writer, see
from scheduling.serving.describers.small_grammar import DEAD, LONGEST_TEXT_BYTES, Grammar
from scheduling.serving.describers.small_tokens import FRAME, AnswerTokens
from scheduling.serving.describers.weights import RefusedFiles, check_folder, digest_of, read_json

BATCH: Final = 16
"""Crops written together; more would make the first token of each wait longer."""


class SmallDescriber:
    """Describes crops with the shipped architecture; `folder` holds weights, configuration and tokenizer."""

    def __init__(self, folder: Path, *, threads: int, name: str) -> None:
        files = check_folder(folder)
        torch.set_num_threads(threads)
        settings = read_json(folder / "preprocessor_config.json")
        side_px = math.isqrt(int(settings.get("size", {}).get("longest_edge", 0)))
        self.shape = Shape.read(read_json(folder / "config.json"), side_px)
        self.tokens = AnswerTokens.load(folder / "tokenizer.json")
        self.name, self.digest = name, digest_of(files)
        self.version = self.digest[:12]
        self.runtime = f"torch {torch.__version__} cpu, {threads} thread{'s' if threads > 1 else ''}"
        self._weights = {key: value.float() for path in files for key, value in load_file(path).items()}
        self._prepare()

    def _prepare(self) -> None:
        try:
            self._writer = Writer(self._weights, self.shape)
        except KeyError as error:
            raise RefusedFiles(f"The weights lack {error.args[0]}.") from None
        if self._writer.words.shape != (self.tokens.size, self.shape.width):
            raise RefusedFiles("The tokenizer and the weights do not belong together: their vocabularies differ.")
        self._tables = self.shape.vision_tables()
        self._prefix = self.tokens.prefix(self.shape.layout.image_tokens)
        self._room = self.shape.longest - len(self._prefix)
        self._grammar = lru_cache(maxsize=32)(lambda names: Grammar(self.tokens, names))

    def describe(
        self,
        crops: Sequence[Rgb],
        regions: Sequence[RegionRequest],
        *,
        class_names: Sequence[str],
        frame_size_wh: SizeWh,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[TokenEvent | AnswerEvent]:
        """See `Describer`. The tokens of a region joined together are its answer's raw text."""
        if len(crops) != len(regions):
            raise ValueError(f"{len(crops)} crops for {len(regions)} regions")
        options = class_options(class_names)
        for start in range(0, len(crops), BATCH):
            if is_cancelled():
                return
            group = regions[start : start + BATCH]
            writing = self._start(crops[start : start + BATCH], options)
            while (pieces := writing.step()) is not None:
                for row, piece in pieces:
                    if is_cancelled():
                        return
                    yield TokenEvent(group[row].region_id, piece)
                    if writing.is_done(row):
                        yield self._answer(group[row], writing, row, options, frame_size_wh)

    @torch.inference_mode()
    def _start(self, crops: Sequence[Rgb], options: tuple[str, ...]) -> "Writing":
        squares = np.stack([letterbox(crop, self.shape.layout.side_px) for crop in crops])
        return Writing(self._writer, self._read(squares), self._grammar(options), self.tokens, self._room)

    def _read(self, squares: Rgb) -> Tensor:
        """(B, T, D): the prefix with each crop's image tokens in its place."""
        image = see(self._weights, self.shape, self.shape.layout.patches(squares), self._tables)
        words = self._writer.words[torch.tensor(self._prefix)].expand(len(squares), -1, -1)
        return torch.cat([words[:, :1], image, words[:, 1 + image.shape[1] :]], dim=1)

    def _answer(
        self, region: RegionRequest, writing: "Writing", row: int, options: Sequence[str], frame_size_wh: SizeWh
    ) -> AnswerEvent:
        raw_text = writing.texts[row]
        answer, errors = read_answer(raw_text, options)
        if not errors:
            answer = complete_answer(answer, box_xyxy=region.box_xyxy, frame_size_wh=frame_size_wh)
        return AnswerEvent(region.region_id, answer, raw_text, not errors, errors, writing.counts[row])


class Writing:
    """A batch of answers being written: one step gives each unfinished row its next piece of text."""

    def __init__(self, writer: Writer, inputs: Tensor, grammar: Grammar, tokens: AnswerTokens, room: int) -> None:
        rows, length, _ = inputs.shape
        self._writer, self._grammar, self._tokens = writer, grammar, tokens
        self._inputs: Tensor = inputs
        self._cache = writer.start(rows, length + room)
        self._follow = torch.from_numpy(grammar.follow)
        self._states: npt.NDArray[np.int32] = np.zeros(rows, np.int32)
        self._text_bytes = [0] * rows
        self._room = room
        self._decoders = [codecs.getincrementaldecoder("utf-8")("replace") for _ in range(rows)]
        self.counts = [0] * rows
        self.texts = [""] * rows
        self.probability = [1.0] * rows

    def is_done(self, row: int) -> bool:
        return bool(self._states[row] == self._grammar.done)

    @torch.inference_mode()
    def step(self) -> list[tuple[int, str]] | None:
        """The next piece of each unfinished row; None when all are done."""
        if all(self.is_done(row) for row in range(len(self._states))):
            return None
        chosen = self._choose(self._writer.forward(self._inputs, self._cache))
        written, pieces = [chosen], self._write(chosen)
        # Where the grammar leaves no choice to any row, the next token needs no forward pass of its own.
        while (forced := self._forced()) is not None:
            written.append(forced)
            pieces = [(row, old + new) for (row, old), (_, new) in zip(pieces, self._write(forced), strict=True)]
        self._inputs = self._writer.words[torch.from_numpy(np.stack(written, axis=1))]
        return pieces

    def _choose(self, logits: Tensor) -> npt.NDArray[np.int64]:
        """The likeliest token of each row among those the grammar allows; finished rows get padding."""
        logits = logits.masked_fill(self._follow[torch.from_numpy(self._states)] == DEAD, -torch.inf)
        chosen = logits.argmax(1).numpy()
        in_class = np.flatnonzero(self._states < self._grammar.class_states)
        if len(in_class):
            shares = logits[in_class].softmax(1)
            for row, share in zip(in_class, shares, strict=True):
                self.probability[row] *= float(share[chosen[row]])
        chosen[self._states == self._grammar.done] = self._tokens.pad_id
        return chosen

    def _forced(self) -> npt.NDArray[np.int64] | None:
        only = self._grammar.only[self._states]
        return None if (only == DEAD).any() else only.astype(np.int64)

    def _write(self, chosen: npt.NDArray[np.int64]) -> list[tuple[int, str]]:
        pieces = []
        for row, token in enumerate(chosen.tolist()):
            if self.is_done(row):
                continue
            pieces.append((row, self._write_one(row, token)))
        return pieces

    def _write_one(self, row: int, token: int) -> str:
        """Take a token into the row's state; its text, with the frame that the node itself writes."""
        piece = self._tokens.bytes_of[token]
        state = int(self._grammar.follow[self._states[row], token])
        fixed = token in self._tokens.frame_ids
        self._text_bytes[row] = 0 if fixed else self._text_bytes[row] + len(piece)
        if self._text_bytes[row] > LONGEST_TEXT_BYTES or self._must_end(row):
            state = self._grammar.ending_of(state)
        self._states[row] = state
        text = FRAME[0] if self.counts[row] == 0 else ""
        text += self._decoders[row].decode(piece)
        if state == self._grammar.done:
            text += json.dumps(round(self.probability[row], 2)) + "}"
        self.counts[row] += 1
        self.texts[row] += text
        return text

    def _must_end(self, row: int) -> bool:
        """Whether the room is nearly used up: three texts may each still need a few tokens to close."""
        return self.counts[row] > self._room - 24
