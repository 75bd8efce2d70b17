"""Whose requests one may see. Each request carries a scope, a number that means something to its owner only.

Scheduling knows nothing of lines or stations: whoever sends requests says, for a permission by name, which scopes a
person or a token may see. Where nobody has said so, nothing is seen.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

Scopes: TypeAlias = frozenset[int] | None
"""None: every request's, also of those that carry no scope."""

SEE = "scheduling.see_fleet"
MANAGE = "scheduling.manage_fleet"
REPLAY = "scheduling.replay"

_answers: dict[str, Callable[[Any], Scopes]] = {}


def answer_with(permission: str, scopes_of: Callable[[Any], Scopes]) -> None:
    """Let `scopes_of(who)` say which requests' details `permission` opens."""
    _answers[permission] = scopes_of


def of(permission: str, who: Any) -> Scopes:
    """The scopes that `permission` opens to `who`."""
    return _answers[permission](who) if permission in _answers else frozenset()


def holds(scopes: Scopes, scope: int | None) -> bool:
    """Whether a request of this scope may be seen. One without a scope is for those alone who may see all."""
    return scopes is None or scope in scopes


def holds_all(scopes: Scopes, others: Scopes) -> bool:
    """Whether `scopes` opens at least what `others` does."""
    return scopes is None or (others is not None and others <= scopes)
