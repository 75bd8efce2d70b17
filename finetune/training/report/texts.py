"""ROUGE-L and BLEU of what was written against what a person would have: second figures, beside those that count.

Own code, because both are a page of counting and the libraries for it are not kept (rouge-score: last release 2022)
or bring a tokenizer stack and lxml along (sacrebleu). Words are what is between spaces and punctuation, in lower case.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

WORDS: Final = re.compile(r"\w+")
ORDER: Final = 4
Pairs = Sequence[tuple[str, str]]
"""(as it should be, as it was written)."""


def words_of(text: str) -> list[str]:
    return WORDS.findall(text.lower())


def rouge_l(pairs: Pairs) -> float:
    """The mean F1 of the longest common subsequence of words, 0..1."""
    return sum(_rouge_of(words_of(true), words_of(said)) for true, said in pairs) / max(1, len(pairs))


def _rouge_of(true: Sequence[str], said: Sequence[str]) -> float:
    if not true or not said:
        return float(true == said)
    return 2 * _common(true, said) / (len(true) + len(said))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, candidate in enumerate(other, start=1):
            kept = row[place]
            row[place] = before + 1 if word == candidate else max(row[place], row[place - 1])
            before = kept
    return row[-1]


def bleu(pairs: Pairs) -> float:
    """Corpus BLEU up to 4 words, one added to the counts above single words (Lin and Och), 0..1."""
    hits, all_of, true_length, said_length = [0] * ORDER, [0] * ORDER, 0, 0
    for true, said in ((words_of(true), words_of(said)) for true, said in pairs):
        true_length, said_length = true_length + len(true), said_length + len(said)
        for size in range(ORDER):
            expected, found = _grams(true, size + 1), _grams(said, size + 1)
            hits[size] += sum((expected & found).values())
            all_of[size] += sum(found.values())
    if not hits[0]:
        return 0.0
    shares = [(hits[size] + (size > 0)) / (all_of[size] + (size > 0)) for size in range(ORDER)]
    brevity = min(0.0, 1 - true_length / said_length)
    return math.exp(brevity + sum(math.log(share) for share in shares) / ORDER)


def _grams(words: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[start : start + size]) for start in range(len(words) - size + 1))
