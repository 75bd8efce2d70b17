"""Change how a Line is served. Knows the policies by name only; what they do is the scheduler's business."""

from django.db import transaction

from aivd_web.kernel.errors import Unprocessable
from aivd_web.kernel.publish import publish_on_commit
from inspections.models import Line, PolicyChange
from scheduling.policy import POLICIES
from scheduling.runtime import FLEET_GROUP

from . import events


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
    events.record(line_id=line.pk, type="line.policy_changed", data=data)
    return line
