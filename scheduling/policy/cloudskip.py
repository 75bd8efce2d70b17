"""When may the cloud be skipped? A threshold on the edge's score with a proven bound on being wrong.

Skip a crop when the edge's score is at least tau. On a calibration split tau is chosen by a fixed-sequence test: the
thresholds are tried from the strictest down, each with the exact (Clopper-Pearson) upper bound on the error rate of
what it would skip, and the first that fails ends the search. Then P(wrong | skipped) <= epsilon holds with confidence
1 - delta for crops like those of the calibration split (Bates et al. 2021, "Learn then Test"). An audit sample goes
to the cloud all the same and shows the rate in production.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Calibration:
    """tau None: no threshold is proven, so nothing is skipped. skipped, wrong: at tau on the calibration split."""

    tau: float | None
    skipped: int
    wrong: int
    upper_bound: float
    epsilon: float
    delta: float

    def sure(self, score: float) -> bool:
        """Whether a crop with this edge score may be skipped. NaN is never sure."""
        return self.tau is not None and score >= self.tau

    def __str__(self) -> str:
        if self.tau is None:
            return f"nothing may be skipped: no threshold holds {self.epsilon:.1%} at {1 - self.delta:.0%} confidence"
        return (
            f"skip at {self.tau:.3f} or above: {self.wrong} of {self.skipped} wrong, at most "
            f"{self.upper_bound:.2%} with {1 - self.delta:.0%} confidence"
        )


def calibrate(
    scores: Sequence[float], right: Sequence[bool], *, epsilon: float = 0.01, delta: float = 0.05, steps: int = 50
) -> Calibration:
    """Choose tau from edge scores and whether the edge's class was right. ValueError if the lengths differ."""
    if len(scores) != len(right):
        raise ValueError(f"{len(scores)} scores but {len(right)} outcomes; give one outcome for each score.")
    pairs = sorted((s, r) for s, r in zip(scores, right, strict=True) if math.isfinite(s))
    chosen = Calibration(None, 0, 0, 1.0, epsilon, delta)
    for tau in _sequence([score for score, _ in pairs], fewest(epsilon, delta), steps):
        kept = [good for score, good in pairs if score >= tau]
        wrong = len(kept) - sum(kept)
        bound = upper_bound(wrong, len(kept), delta)
        if bound > epsilon:
            break
        chosen = Calibration(tau, len(kept), wrong, bound, epsilon, delta)
    return chosen


def fewest(epsilon: float, delta: float) -> int:
    """Fewer than half of this cannot prove the bound even without an error; all of it leaves room for one or two."""
    return 2 * math.ceil(math.log(delta) / math.log1p(-epsilon))


def _sequence(ordered: Sequence[float], least: int, steps: int) -> list[float]:
    """Thresholds from strict to loose, fixed by the scores alone and never by what was right."""
    count = len(ordered)
    if count < least:
        return []
    ranks = [round(least + (count - least) * k / max(1, steps - 1)) for k in range(steps)]
    return list(dict.fromkeys(ordered[count - rank] for rank in ranks))


def upper_bound(wrong: int, total: int, delta: float) -> float:
    """Exact binomial upper bound: the largest error rate p with P(at most `wrong` of `total`) >= delta."""
    if total == 0 or wrong >= total:
        return 1.0
    low, high = wrong / total, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(wrong, total, middle) > delta else (low, middle)
    return high


def _at_most(wrong: int, total: int, p: float) -> float:
    """P(X <= wrong) for X binomial(total, p), summed in logs so that large totals do not underflow."""
    if p <= 0.0:
        return 1.0
    if p >= 1.0:
        return 0.0
    log_p, log_q = math.log(p), math.log1p(-p)
    choose = math.lgamma(total + 1)
    terms = (
        math.exp(choose - math.lgamma(k + 1) - math.lgamma(total - k + 1) + k * log_p + (total - k) * log_q)
        for k in range(wrong + 1)
    )
    return min(1.0, sum(terms))


def audited(key: str, share: float = 0.02) -> bool:
    """Whether this crop belongs to the audit sample: the same answer for the same key, on every worker."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    return number < share * 2**64


def disproved(wrong: int, sampled: int, *, epsilon: float, delta: float) -> bool:
    """Whether an audit speaks against the bound: were the true rate epsilon, so many errors would hardly come."""
    return wrong > 0 and 1.0 - _at_most(wrong - 1, sampled, epsilon) < delta
