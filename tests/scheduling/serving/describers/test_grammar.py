"""The answer grammar: every path through it is JSON in the schema."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.serving.answers import TEXT_FIELDS, read_answer
from scheduling.serving.describers.small_grammar import DEAD, PLAIN, Grammar, byte_step
from scheduling.serving.describers.small_tokens import FRAME, AnswerTokens
from tests.scheduling.serving.describers.small_folder import new_tokens

CLASSES = ("open", "pin", "pin-hole", 'a "quoted" class')


@pytest.fixture(scope="module")
def tokens() -> AnswerTokens:
    return new_tokens()


@pytest.fixture(scope="module")
def grammar(tokens: AnswerTokens) -> Grammar:
    return Grammar(tokens, CLASSES)


def end_state(text: bytes) -> int:
    state = PLAIN
    for byte in text:
        state = byte_step(state, byte)
        if state == DEAD:
            return DEAD
    return state


@given(st.text(max_size=20))
def test_the_inside_of_any_json_string_is_accepted(text: str) -> None:
    printable = "".join(character for character in text if character.isprintable() or character == "\n")
    assert end_state(json.dumps(printable, ensure_ascii=False)[1:-1].encode()) == PLAIN


@given(st.binary(max_size=6))
@settings(max_examples=500)
def test_what_is_accepted_is_the_inside_of_a_json_string(text: bytes) -> None:
    if end_state(text) == PLAIN:
        assert isinstance(json.loads(b'"' + text + b'"'), str)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_walk_through_the_grammar_ends_in_a_valid_answer(
    tokens: AnswerTokens, grammar: Grammar, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    state, written = 0, FRAME[0].encode()
    for step in range(400):
        if state == grammar.done:
            break
        token = int(rng.choice(np.flatnonzero(grammar.follow[state] != DEAD)))
        written += tokens.bytes_of[token]
        state = int(grammar.follow[state, token])
        state = grammar.ending_of(state) if step % 30 > 20 else state
    assert state == grammar.done
    answer, errors = read_answer(written.decode("utf-8", "strict") + "0.5}", CLASSES)
    assert errors == ()
    assert set(TEXT_FIELDS) <= answer.keys()


def test_every_state_leads_on(grammar: Grammar) -> None:
    ways = (grammar.follow != DEAD).sum(1)
    assert (np.delete(ways, grammar.done) > 0).all()
    assert ways[grammar.done] == 0


def test_a_class_that_begins_another_can_be_ended_or_continued(tokens: AnswerTokens, grammar: Grammar) -> None:
    state = 0
    for token in tokens.text_ids("pin"):
        state = int(grammar.follow[state, token])
    assert grammar.follow[state, tokens.frame_ids[1]] == grammar.text_state(0)


def test_a_text_that_must_end_offers_only_its_closing(tokens: AnswerTokens, grammar: Grammar) -> None:
    ending = grammar.ending_of(grammar.text_state(1))
    assert grammar.only[ending] == tokens.frame_ids[3]


def test_a_special_token_in_a_text_is_spelled_out(tokens: AnswerTokens) -> None:
    ids = tokens.text_ids('<|image_pad|> and {"defect_class":"')
    assert not set(ids) & {*tokens.special_ids, *tokens.frame_ids}
