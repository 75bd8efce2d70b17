"""The small describer's vocabulary: bytes, pieces learned from texts, and one token for each piece of JSON frame.

An answer is always the same five keys in the same order, so the frame between the values is five fixed strings.
Each is one token of the vocabulary, which an answer's free text can never contain: text goes through JSON's
escapes first, and every frame token holds a bare quote. Knows no model.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, IMAGE, VISION_START, VISION_END = "<|pad|>", "<|image_pad|>", "<|vision_start|>", "<|vision_end|>"
SPECIALS: Final = (PAD, IMAGE, VISION_START, VISION_END)
OPEN_CLASS: Final = '{"defect_class":"'
FRAME: Final = (
    OPEN_CLASS,
    '","appearance":"',
    '","probable_cause":"',
    '","recommended_action":"',
    '","confidence":',
)
"""The fixed strings before the five values, in order; `}` ends the answer."""

PIECE_CHARS: Final = 20
"""Longest learned piece: several words, so that an answer has few tokens yet still streams."""


def learn_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer: any text can be written, phrases of `texts` in few tokens."""
    tokenizer = Tokenizer(models.BPE())
    phrase = pre_tokenizers.Split(Regex(r"[^,;.]*[,;.]"), behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([phrase, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(FRAME),
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=PIECE_CHARS,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in FRAME])
    return tokenizer


class AnswerTokens:
    """A tokenizer seen as the vocabulary of answers."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        vocabulary = tokenizer.get_vocab()
        missing = [token for token in (*SPECIALS, *FRAME) if token not in vocabulary]
        if missing:
            raise ValueError(f"the tokenizer lacks {', '.join(missing)}: it is not a small describer's")
        tokenizer.encode_special_tokens = True  # a special token's name inside a text is just text
        self.tokenizer = tokenizer
        self.size = len(vocabulary)
        self.frame_ids = tuple(vocabulary[piece] for piece in FRAME)
        self.special_ids = tuple(vocabulary[token] for token in SPECIALS)
        self.pad_id, self.image_id, self.vision_start_id, self.vision_end_id = self.special_ids
        self.bytes_of = tuple(self._bytes(index) for index in range(self.size))

    @classmethod
    def load(cls, path: Path) -> "AnswerTokens":
        return cls(Tokenizer.from_file(str(path)))

    def prefix(self, image_tokens: int, hint: Sequence[int] = ()) -> list[int]:
        """What the model reads before it writes: the crop's place, the hint, then the opening of the answer."""
        image = [self.vision_start_id, *[self.image_id] * image_tokens, self.vision_end_id]
        return [*image, *hint, self.frame_ids[0]]

    def hint_ids(self, hint: tuple[str, float] | None, length: int) -> list[int]:
        """What the detector said and how surely, in exactly `length` tokens; padding alone where it said nothing."""
        if hint is None or not hint[0]:
            return [self.pad_id] * length
        ids = self.text_ids(f"{hint[0]},{hint[1]:.1f}")[:length]
        return ids + [self.pad_id] * (length - len(ids))

    def text_ids(self, text: str) -> list[int]:
        """Tokens of a value inside its quotes, with JSON's escapes."""
        escaped = json.dumps(text, ensure_ascii=False)[1:-1]
        return [int(index) for index in self.tokenizer.encode(escaped, add_special_tokens=False).ids]

    def answer_ids(self, answer: Mapping[str, Any]) -> list[int]:
        """What the model should write after its prefix, up to and with the opening of the confidence."""
        values = (str(answer[key]) for key in ("defect_class", "appearance", "probable_cause", "recommended_action"))
        ids: list[int] = []
        for value, closing in zip(values, self.frame_ids[1:], strict=True):
            ids += [*self.text_ids(value), closing]
        return ids

    def _bytes(self, index: int) -> bytes:
        token = str(self.tokenizer.id_to_token(index))
        if index in self.frame_ids:
            return token.encode()
        if index in self.special_ids:
            return b""
        return bytes(_BYTE_OF[character] for character in token)


def _byte_of_character() -> dict[str, int]:
    """GPT-2's map: printable bytes stand for themselves, the others for characters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {chr(byte): byte for byte in printable}
    return characters | {chr(0x100 + place): byte for place, byte in enumerate(others)}


_BYTE_OF: Final = _byte_of_character()
