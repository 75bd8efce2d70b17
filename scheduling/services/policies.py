"""The policies a person can choose, with a sentence on each. The sentence is the one its file opens with."""

import re
import sys
from functools import cache

from scheduling.policy import POLICIES, get_policy

FIRST_SENTENCE = re.compile(r".*?(?:\.(?=\s|$)|\n\n|$)", re.DOTALL)

RECOMMENDED = "pct-lb"  # what a new line gets; the others are for comparison


def described() -> list[dict[str, str]]:
    """`name` and `about` of each, by name. `about` is empty where Python was told to drop docstrings."""
    return [{"name": name, "about": _about(name)} for name in sorted(POLICIES)]


def offered() -> list[dict[str, str | bool]]:
    """The same, with the one that is recommended marked."""
    return [{**each, "recommended": each["name"] == RECOMMENDED} for each in described()]


@cache
def _about(name: str) -> str:
    text = sys.modules[type(get_policy(name)).__module__].__doc__ or ""
    sentence = FIRST_SENTENCE.match(text)
    return " ".join(sentence.group().split()) if sentence else ""
