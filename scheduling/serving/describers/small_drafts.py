"""Guess the next tokens of an answer from the answers before it, so that one forward pass can check several.

Answers repeat each other: after the same few tokens often comes what came there last. A guess costs next to nothing,
and changes nothing: the model's own choice decides whether it stands. Knows no model and no grammar. What is looked
up are tokens, not JSON, which is why no library of partial JSON would help.
"""

from collections.abc import Sequence
from typing import Final

ORDER: Final = 3
"""Tokens that a guess looks back on."""

REMEMBERED: Final = 8192
START: Final = -1

Context = tuple[int, ...]


class Drafts:
    """What came last after each few tokens, for the most recently seen of them."""

    def __init__(self) -> None:
        self._after: dict[Context, int] = {}

    def learn(self, before: Sequence[int], token: int) -> None:
        """That `token` came after the tokens `before`, the whole answer so far."""
        context = _context(before)
        self._after.pop(context, None)
        self._after[context] = token
        if len(self._after) > REMEMBERED:
            self._after.pop(next(iter(self._after)), None)

    def next(self, before: Sequence[int]) -> int | None:
        """What came last after the last tokens of `before`; None where nothing is remembered."""
        return self._after.get(_context(before))


def _context(before: Sequence[int]) -> Context:
    last = tuple(before[-ORDER:])
    return (START,) * (ORDER - len(last)) + last
