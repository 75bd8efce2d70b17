"""One way of taking a percentile, for every figure that has one."""

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` (ascending, not empty) that at least `share` of them do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
