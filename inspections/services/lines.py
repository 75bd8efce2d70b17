"""Make a Line, and change how it is served. Knows policies by name only; what they do is the scheduler's business."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from aivd_web.kernel.errors import Conflict, Unprocessable
from aivd_web.kernel.publish import publish_on_commit
from inspections.events import numbering
from inspections.models import EventHead, Line, Membership, PolicyChange, Site, Station
from scheduling.policy import POLICIES
from scheduling.services.dispatching import FLEET_GROUP

from . import stations, vocabulary
from .vocabulary import ClassName


def make(
    *,
    site: str,
    name: str,
    classes: Sequence[ClassName],
    station: str,
    product: str,
    by: User,
    bit_depth: str = "auto",
) -> tuple[Line, Station]:
    """A Line with the vocabulary that somebody chose for it, and its first Station.

    A Site of this name is made where there is none. Whoever makes the line may do everything on it. Raises Conflict
    where the site has a line of this name, Unprocessable for a vocabulary that cannot be one.
    """
    entries = vocabulary.checked(classes)
    try:
        with transaction.atomic():
            plant, _ = Site.objects.get_or_create(name=site)
            line = Line.objects.create(site=plant, name=name)
            EventHead.objects.create(line=line)
            vocabulary.write(line=line, entries=entries)
            if not by.is_superuser:
                Membership.objects.create(user=by, line=line, role="admin")
            first = stations.add(line=line, name=station, product=product, bit_depth=bit_depth, by=by.get_username())
    except IntegrityError:
        raise Conflict(f"'{site}' has a line '{name}' already.", hint="Give the new line another name.") from None
    return line, first


@transaction.atomic
def set_policy(*, line: Line, policy: str, by: str) -> Line:
    """Choose Nodes for the Line by `policy` from the workers' next look at the queue on; keep who said so.

    What is placed already stays where it is. Setting what is set changes nothing and leaves no note. Raises
    Unprocessable for a policy that does not exist.
    """
    if policy not in POLICIES:
        raise Unprocessable(
            f"There is no policy '{policy[:40]}'.", hint=f"Choose one of {', '.join(sorted(POLICIES))}."
        )
    before = Line.objects.select_for_update(no_key=True).values_list("policy", flat=True).get(pk=line.pk)
    line.policy = policy
    if before == policy:
        return line
    Line.objects.filter(pk=line.pk).update(policy=policy)
    PolicyChange.objects.create(line=line, before=before, after=policy, by=by)
    # Everybody with a role hears of the fleet, not only this line's people: the hint says no more than "look again".
    publish_on_commit(FLEET_GROUP, {"type": "fleet.hint", "hint": {"type": "policies"}})
    data = {"before": before, "after": policy, "by": by}
    numbering.record(line_id=line.pk, type="line.policy_changed", data=data)
    return line
