"""Texts of the small describer: every fact goes in and comes back out, and no text breaks the tokenizer."""

import itertools

import pytest

from finetune.boards import CLASSES, FACTS, generate_board
from finetune.training.describer_texts import NOTHING, all_texts, answer_for, appearance, read_facts
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.describers.small_tokens import FRAME, AnswerTokens, learn_tokenizer


def every_combination() -> list[dict[str, str]]:
    combinations = [dict(zip(FACTS, values, strict=True)) for values in itertools.product(*FACTS.values())]
    return [facts for facts in combinations if (facts["lie"] == "round") == (facts["shape"] == "compact")]


def test_every_fact_that_an_appearance_states_can_be_read_back() -> None:
    for facts in every_combination():
        assert read_facts(appearance(facts)) == facts


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("", {}),
        ("No mark; the copper looks as designed.", {}),
        ("Thin mark.", {"shape": "thin"}),
        ("COMPACT mark, at a via; something else", {"shape": "compact", "lie": "round", "feature": "via"}),
        ("an atrace of copper", {}),
    ],
)
def test_what_a_text_does_not_state_is_absent(text: str, facts: dict[str, str]) -> None:
    assert read_facts(text) == facts


def test_every_generated_defect_has_an_answer_with_its_facts() -> None:
    for defect in generate_board(11).defects:
        answer = answer_for(defect.defect_class, defect.facts)
        assert answer["defect_class"] == defect.defect_class
        assert read_facts(answer["appearance"]) == defect.facts
    assert answer_for(NO_DEFECT, {}) == NOTHING


def test_cause_and_action_depend_on_the_facts() -> None:
    answers = [answer_for(name, facts) for name in CLASSES for facts in every_combination()[::50]]
    for field in ("probable_cause", "recommended_action"):
        assert len({answer[field] for answer in answers}) > len(CLASSES)


def test_an_answer_is_few_tokens_and_comes_back_letter_for_letter() -> None:
    tokens = AnswerTokens(learn_tokenizer(list(all_texts()), 1024))
    for defect in generate_board(12).defects:
        answer = answer_for(defect.defect_class, defect.facts)
        ids = tokens.answer_ids(answer)
        text = b"".join(tokens.bytes_of[index] for index in ids).decode()
        assert len(ids) < 30
        assert FRAME[0] + text == (
            f'{{"defect_class":"{answer["defect_class"]}","appearance":"{answer["appearance"]}",'
            f'"probable_cause":"{answer["probable_cause"]}","recommended_action":"{answer["recommended_action"]}",'
            '"confidence":'
        )
