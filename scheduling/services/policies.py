"""The policies a person can choose, with a sentence on each: its own description."""

from scheduling.policy import POLICIES, get_policy

RECOMMENDED = "pct-lb"  # what a new line gets; the others are for comparison


def described() -> list[dict[str, str]]:
    """`name` and `about` of each, by name."""
    return [{"name": name, "about": get_policy(name).description} for name in sorted(POLICIES)]


def offered() -> list[dict[str, str | bool]]:
    """The same, with the one that is recommended marked."""
    return [{**each, "recommended": each["name"] == RECOMMENDED} for each in described()]
