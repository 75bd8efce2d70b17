"""What the small describer should say about a generated defect, and how to read the facts back out of a text.

The appearance states what the generator measured. Cause and action come from a small table of what etching and
handling commonly do, chosen by class and facts: rules of thumb for people, not findings. Knows no model.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Final

from finetune.boards import CLASSES, FACTS
from scheduling.serving.answers import NO_DEFECT

NOTHING: Final = {
    "defect_class": NO_DEFECT,
    "appearance": "No mark; the copper looks as designed.",
    "probable_cause": "None, the region looks good.",
    "recommended_action": "Accept the region.",
}

SIDES: Final = {
    "left": "copper to the left",
    "right": "copper to the right",
    "above": "copper above",
    "below": "copper below",
    "both sides": "copper on both sides",
}
FEATURES: Final = {
    "trace": "at a trace",
    "pad": "at a pad",
    "via": "at a via",
    "pour": "at a pour",
    "bare board": "on bare board",
}

_CAUSES: Final = {
    "open": ("A void in the resist let the etchant through.", "A scratch in the resist before etching."),
    "short": ("Dirt on the photo tool kept copper.", "A fibre on the photo tool kept copper."),
    "mousebite": ("A nick in the edge of the resist.", "Resist lifted along the edge."),
    "spur": ("A flake of resist at the edge.", "A fibre at the edge of the resist."),
    "copper": ("A residue of resist kept copper.", "A fibre under the resist kept copper."),
    "pin-hole": ("A bubble or dust in the resist.", "A scratch in the resist."),
}
"""For a compact mark, and for a longer one."""


def answer_for(defect_class: str, facts: Mapping[str, str]) -> dict[str, str]:
    """The answer's texts for a defect of the generator; `NO_DEFECT` needs no facts."""
    if defect_class == NO_DEFECT:
        return dict(NOTHING)
    return {
        "defect_class": defect_class,
        "appearance": appearance(facts),
        "probable_cause": _CAUSES[defect_class][facts["shape"] != "compact"],
        "recommended_action": _action(defect_class, facts),
    }


def appearance(facts: Mapping[str, str]) -> str:
    """One sentence with all seven facts."""
    lie = "" if facts["lie"] == "round" else f" {facts['lie']}"
    form = f"{facts['shape'].capitalize()}{lie} mark"
    lay = f"edges {facts['orientation']}" if facts["orientation"] != "no edge" else "no edge"
    return (
        f"{form}, {facts['relative_size']}, {FEATURES[facts['feature']]}; "
        f"{SIDES[facts['side']]}, {lay}, {facts['nets']} in view."
    )


def read_facts(text: str) -> dict[str, str]:
    """The facts that an appearance states in the words of `appearance`; those it does not state are absent."""
    found = {name: match[1] for name, pattern in _PATTERNS.items() if (match := pattern.search(text))}
    facts = {name: _VALUE_OF[name].get(word.lower(), "") for name, word in found.items()}
    if facts.get("shape") == "compact":
        facts.setdefault("lie", "round")
    return {name: value for name, value in facts.items() if value}


def all_texts() -> Iterator[str]:
    """Every text the tables can make, without repeating the facts that do not touch each other."""
    yield from NOTHING.values()
    yield from CLASSES
    yield from (f"{name},{tenths / 10:.1f}" for name in CLASSES for tenths in range(11))
    yield from itertools.chain.from_iterable(_CAUSES.values())
    names = list(FACTS)
    for values in itertools.product(*(FACTS[name] for name in names)):
        facts = dict(zip(names, values, strict=True))
        if (facts["lie"] == "round") == (facts["shape"] == "compact"):
            yield appearance(facts)
    for defect_class, relative_size, feature, nets in itertools.product(
        CLASSES, FACTS["relative_size"], FACTS["feature"], FACTS["nets"]
    ):
        yield _action(defect_class, {"relative_size": relative_size, "feature": feature, "nets": nets})


def _action(defect_class: str, facts: Mapping[str, str]) -> str:
    at_joint = facts["feature"] in ("pad", "via")
    small = facts["relative_size"] == "under half the copper width"
    several = facts["nets"] in ("two nets", "three or more nets")
    return {
        "open": "Reject the board." if at_joint else "Bridge the trace by repair, then retest.",
        "short": "Cut the bridge, then test the nets for isolation." if several else "Cut the bridge, then retest.",
        "mousebite": "Accept if enough width remains." if small else "Measure the remaining width.",
        "spur": "Trim the spur, then test the nets for isolation." if several else "Trim the spur.",
        "copper": "Remove the copper, then test the nets for isolation." if several else "Remove the copper.",
        "pin-hole": "Reject if the joint is weakened." if at_joint else "Measure the copper beside the hole.",
    }[defect_class]


def _either(words: Mapping[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_VALUE_OF: Final[dict[str, dict[str, str]]] = {
    "shape": {value: value for value in FACTS["shape"]},
    "lie": {value: value for value in FACTS["lie"] if value != "round"},
    "relative_size": {value: value for value in FACTS["relative_size"]},
    "feature": {words: value for value, words in FEATURES.items()},
    "side": {words: value for value, words in SIDES.items()},
    "orientation": {"no edge": "no edge"}
    | {f"edges {value}": value for value in FACTS["orientation"] if value != "no edge"},
    "nets": {f"{value} in view": value for value in FACTS["nets"]},
}
_PATTERNS: Final = {name: re.compile(rf"\b({_either(words)})\b", re.IGNORECASE) for name, words in _VALUE_OF.items()}
