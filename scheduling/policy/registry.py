"""Policies by name, as a line's settings and the benchmark know them. Adding a policy adds one line here."""

from collections.abc import Callable

from scheduling.policy.pct_lb import PctLb
from scheduling.policy.types import Policy

POLICIES: dict[str, Callable[[], Policy]] = {
    "pct-lb": PctLb,
}


def get_policy(name: str) -> Policy:
    """A fresh policy; some keep a counter or an old reading, so each worker makes its own. ValueError if
    unknown.
    """
    try:
        return POLICIES[name]()
    except KeyError:
        raise ValueError(f"No policy '{name}'; choose one of {', '.join(sorted(POLICIES))}.") from None
