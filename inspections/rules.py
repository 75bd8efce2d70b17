"""Who may do what. Each question about access, of a person or a token, is answered by this file.

What one may not see does not exist for them (404); what one may see but not do is refused (403).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

import rules
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model, QuerySet

from aivd_web.kernel.errors import Forbidden, NotFound
from inspections.models import ApiToken, DefectClass, Frame, Line, Membership, Station
from inspections.querysets import ROLE_ORDER, FrameQuerySet, LineQuerySet, StationQuerySet
from scheduling.services import scopes
from scheduling.services.scopes import Scopes


class Action(StrEnum):
    SEE = "see"
    UPLOAD = "upload"
    REVIEW = "review"
    RETRY = "retry"
    RUN_DEMO = "run_demo"
    CONFIGURE = "configure"
    TRAIN = "train"
    MANAGE_FLEET = "manage_fleet"
    MANAGE_ACCESS = "manage_access"


LEAST_ROLE = {
    Action.SEE: "viewer",
    Action.UPLOAD: "inspector",
    Action.REVIEW: "inspector",
    Action.RETRY: "inspector",
    Action.RUN_DEMO: "inspector",
    Action.CONFIGURE: "engineer",
    Action.TRAIN: "admin",
    Action.MANAGE_ACCESS: "admin",
}
# Everything else is for people: a token never judges, configures or takes a node out.
SCOPE_NEEDED = {Action.SEE: ApiToken.Scope.READ, Action.UPLOAD: ApiToken.Scope.INGEST}


@dataclass(frozen=True)
class TokenPrincipal:
    """A machine that signed in with a token; stands where a User stands."""

    token: ApiToken
    is_authenticated = True
    is_anonymous = False
    is_superuser = False
    is_staff = False

    @property
    def is_active(self) -> bool:
        return self.token.is_usable

    @property
    def username(self) -> str:
        return f"token {self.token.prefix}"

    def may(self, action: Action) -> bool:
        return self.is_active and SCOPE_NEEDED.get(action) in self.token.scopes

    def __str__(self) -> str:
        return self.username


Principal: TypeAlias = User | AnonymousUser | TokenPrincipal
M = TypeVar("M", bound=Model)


def lines(who: Principal, action: Action = Action.SEE) -> LineQuerySet:
    """Lines on which `who` may do `action`."""
    if isinstance(who, TokenPrincipal):
        return Line.objects.filter(pk=who.token.line_id) if who.may(action) else Line.objects.none()
    return Line.objects.visible_to(who, role=LEAST_ROLE[action])


def whole_lines(who: Principal, action: Action = Action.SEE) -> LineQuerySet:
    """Lines of which `who` may see every station: a line's event stream tells of all of them."""
    if isinstance(who, TokenPrincipal) and who.token.station_id is not None:
        return Line.objects.none()
    return lines(who, action)


def stations(who: Principal, action: Action = Action.SEE) -> StationQuerySet:
    found = Station.objects.on_lines(lines(who, action))
    if isinstance(who, TokenPrincipal) and who.token.station_id is not None:
        return found.filter(pk=who.token.station_id)
    return found


def frames(who: Principal, action: Action = Action.SEE) -> FrameQuerySet:
    found = Frame.objects.on_lines(lines(who, action))
    if isinstance(who, TokenPrincipal) and who.token.station_id is not None:
        return found.filter(station=who.token.station_id)
    return found


def defect_classes(who: Principal, action: Action = Action.SEE) -> "QuerySet[DefectClass]":
    return DefectClass.objects.filter(line__in=lines(who, action))


def get(
    question: "Callable[[Principal, Action], QuerySet[M]]",
    who: Principal,
    pk: Any,
    action: Action = Action.SEE,
) -> M:
    """The one row of `question` (lines, stations, frames) that is meant. Raises NotFound or Forbidden."""
    found = question(who, action).filter(pk=pk).first()
    if found is not None:
        return found
    if action is not Action.SEE and question(who, Action.SEE).filter(pk=pk).exists():
        raise Forbidden(f"You may see this, but your role does not allow you to {words(action)} here.")
    raise NotFound("There is nothing here, or nothing that you may see.", hint="Check the address.")


def words(action: Action) -> str:
    return action.value.replace("_", " ")


def may_manage_fleet(who: Principal) -> bool:
    """Whether `who` has power over the nodes. They work for every line, so no role on a line gives it: it is Django's
    own permission to change nodes, which a superuser has, and whoever is in the group "Fleet managers"."""
    return isinstance(who, User) and who.is_active and who.has_perm("scheduling.change_node")


def may_see_fleet(who: Principal) -> bool:
    return may_somewhere(who, Action.SEE) or may_manage_fleet(who)


def fleet_scopes(who: Principal, action: Action = Action.SEE) -> Scopes:
    """Whose decisions `who` may see: a request's scope is the id of its station. None: all of them."""
    if isinstance(who, User) and who.is_active and who.is_superuser:
        return None
    return frozenset(stations(who, action).values_list("pk", flat=True))


def may_somewhere(who: Principal, action: Action) -> bool:
    """Whether `who` may do `action` on any line at all."""
    return lines(who, action).exists()


def may_make_lines(who: Principal) -> bool:
    """A line is a matter of its site: Django's own permission to add lines, which a superuser has."""
    return isinstance(who, User) and who.is_active and who.has_perm("inspections.add_line")


def line_maker(who: Principal) -> User:
    """`who`, as somebody who may make lines. Raises Forbidden."""
    if not (isinstance(who, User) and may_make_lines(who)):
        raise Forbidden("Your role does not allow you to make lines.", hint="Ask whoever runs this AIVD.")
    return who


def abilities(who: Principal) -> dict[str, bool]:
    """What to offer on the pages, at most two queries whatever the number of lines."""
    if isinstance(who, TokenPrincipal):
        return {action.value: who.may(action) for action in Action}
    held = {role for _, role in roles(who)}
    rank = max((ROLE_ORDER.index(role) for role in held), default=-1)
    everything = bool(who.is_active and who.is_superuser)
    can = {a.value: everything or rank >= ROLE_ORDER.index(least) for a, least in LEAST_ROLE.items()}
    return can | {Action.MANAGE_FLEET.value: may_manage_fleet(who)}


def roles(who: Principal) -> list[tuple[int, str]]:
    """Pairs of line id and role. A superuser is admin of every line; a token has scopes and no role."""
    if isinstance(who, TokenPrincipal) or not who.is_active:
        return []
    if who.is_superuser:
        return [(line_id, "admin") for line_id in Line.objects.values_list("pk", flat=True)]
    return list(Membership.objects.filter(user=who).order_by("line_id").values_list("line_id", "role"))


def sender(who: Principal) -> str:
    """Who sent a frame, in words that stay the same: Idempotency-Keys are theirs alone."""
    return f"token:{who.token.prefix}" if isinstance(who, TokenPrincipal) else f"user:{who.pk}"


# The fleet belongs to no line, and scheduling knows nothing of lines: it asks for these by name.
rules.add_perm(scopes.SEE, rules.Predicate(may_see_fleet))
rules.add_perm(scopes.MANAGE, rules.Predicate(may_manage_fleet))
rules.add_perm(scopes.REPLAY, rules.Predicate(lambda who: may_somewhere(who, Action.CONFIGURE)))
scopes.answer_with(scopes.SEE, fleet_scopes)
scopes.answer_with(scopes.REPLAY, lambda who: fleet_scopes(who, Action.CONFIGURE))
