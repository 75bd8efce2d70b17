"""What the small describer may write next: a finite automaton over its tokens whose every path is a valid answer.

The class is one of the given names, letter for letter; the three texts are JSON strings of valid UTF-8, limited in
length; the frame between them is fixed. Whatever the weights are, the answer parses and fits the schema. Built
once for each list of classes, as tables that a batch looks up. Knows no model.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from scheduling.serving.describers.small_tokens import AnswerTokens

TEXTS: Final = 3
LONGEST_TEXT_BYTES: Final = 400
"""Of one field; a valid character more may follow, as a text never ends inside one."""

# Where a JSON string can be between two bytes. LEAD states await that many continuation bytes of a character; the
# E0, ED, F0 and F4 states know that the first of those is restricted (no overlong form, no surrogate, no overflow).
PLAIN, ESCAPED, LEAD1, LEAD2, LEAD3, AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4 = range(9)
BYTE_STATES: Final = 9
DEAD: Final = -1


def byte_step(state: int, byte: int) -> int:
    """The state after a byte of a JSON string's inside, or DEAD; RFC 8259 strings without \\u, RFC 3629 UTF-8."""
    if state == PLAIN:
        return _from_plain(byte)
    if state == ESCAPED:
        return PLAIN if byte in b'"\\/bfnrt' else DEAD
    low, high, after = {
        LEAD1: (0x80, 0xBF, PLAIN),
        LEAD2: (0x80, 0xBF, LEAD1),
        LEAD3: (0x80, 0xBF, LEAD2),
        AFTER_E0: (0xA0, 0xBF, LEAD1),
        AFTER_ED: (0x80, 0x9F, LEAD1),
        AFTER_F0: (0x90, 0xBF, LEAD2),
        AFTER_F4: (0x80, 0x8F, LEAD2),
    }[state]
    return after if low <= byte <= high else DEAD


def _from_plain(byte: int) -> int:
    if byte == ord("\\"):
        return ESCAPED
    if 0x20 <= byte < 0x7F and byte != ord('"'):
        return PLAIN
    for low, high, after in (
        (0xC2, 0xDF, LEAD1),
        (0xE0, 0xE0, AFTER_E0),
        (0xED, 0xED, AFTER_ED),
        (0xE1, 0xEF, LEAD2),
        (0xF0, 0xF0, AFTER_F0),
        (0xF1, 0xF3, LEAD3),
        (0xF4, 0xF4, AFTER_F4),
    ):
        if low <= byte <= high:
            return after
    return DEAD


class Grammar:
    """The automaton for one list of classes.

    `follow[state, token]` is the next state or DEAD (int32); `only[state]` is the token where there is no choice,
    else DEAD. State 0 comes after the opening frame; `done` is the state after the last frame token. A text's
    states come twice: the second set, `ending`, is for a text that is long enough and must close.
    """

    def __init__(self, tokens: AnswerTokens, class_names: Sequence[str]) -> None:
        self._tokens = tokens
        rows, leaves = _class_rows(tokens, class_names)
        self.class_states = len(rows)
        self.done = self.class_states + 2 * TEXTS * BYTE_STATES
        self.follow: npt.NDArray[np.int32] = np.full((self.done + 1, tokens.size), DEAD, np.int32)
        for state, row in enumerate(rows):
            for token, after in row.items():
                self.follow[state, token] = after
        for state in leaves:
            self.follow[state, tokens.frame_ids[1]] = self.text_state(0)
        steps = text_steps(tokens)
        for text in range(TEXTS):
            self._add_text(text, steps)
        choices = self.follow != DEAD
        single = choices.sum(1) == 1
        self.only = np.where(single, choices.argmax(1), DEAD).astype(np.int32)

    def text_state(self, text: int, byte_state: int = PLAIN, *, ending: bool = False) -> int:
        return self.class_states + (2 * text + ending) * BYTE_STATES + byte_state

    def ending_of(self, state: int) -> int:
        """The same place in a text that must close now; other states stay as they are."""
        place = state - self.class_states
        if not 0 <= place < self.done - self.class_states or place // BYTE_STATES % 2:
            return state
        return state + BYTE_STATES

    def _add_text(self, text: int, steps: npt.NDArray[np.int32]) -> None:
        closing = self._tokens.frame_ids[text + 2]
        after = self.text_state(text + 1) if text + 1 < TEXTS else self.done
        one_byte = np.array([len(piece) == 1 for piece in self._tokens.bytes_of])
        for ending in (False, True):
            for byte_state in range(BYTE_STATES):
                row = steps[byte_state]
                usable = (row != DEAD) & (one_byte & (byte_state != PLAIN) if ending else True)
                state = self.text_state(text, byte_state, ending=ending)
                self.follow[state, usable] = row[usable] + self.text_state(text, ending=ending)
            self.follow[self.text_state(text, ending=ending), closing] = after


def _class_rows(tokens: AnswerTokens, class_names: Iterable[str]) -> tuple[list[dict[int, int]], list[int]]:
    """A trie of the classes' tokens: each node's children, and the nodes where a class is complete."""
    rows: list[dict[int, int]] = [{}]
    leaves = []
    for name in class_names:
        state = 0
        for token in tokens.text_ids(name):
            if token not in rows[state]:
                rows[state][token] = len(rows)
                rows.append({})
            state = rows[state][token]
        leaves.append(state)
    return rows, leaves


@lru_cache(maxsize=4)
def text_steps(tokens: AnswerTokens) -> npt.NDArray[np.int32]:
    """(byte state, token) to byte state or DEAD, for the tokens of free text."""
    steps = np.full((BYTE_STATES, tokens.size), DEAD, np.int32)
    fixed = {*tokens.frame_ids, *tokens.special_ids}
    for token, piece in enumerate(tokens.bytes_of):
        if token in fixed or not piece:
            continue
        for start in range(BYTE_STATES):
            state = start
            for byte in piece:
                state = byte_step(state, byte) if state != DEAD else DEAD
            steps[start, token] = state
    return steps
