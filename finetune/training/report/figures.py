"""What a set of answers is worth: shares, a paired interval, confusion, calibration. Pure; knows no describer.

A crop whose answer did not fit the schema is a wrong answer, and neither a defect seen nor a good place confirmed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from scheduling.serving.answers import NO_DEFECT

DRAWS: Final = 2000
BINS: Final = 10
UNREADABLE: Final = "no answer"
"""In the confusion: what did not fit the schema, or named a class that nobody asked for."""


@dataclass(frozen=True)
class Answered:
    """One crop: what is there, what was said of it, how surely, and in which frame it lies."""

    frame: str
    truth: str
    said: str
    confidence: float
    valid: bool

    @property
    def right(self) -> bool:
        return self.valid and self.said == self.truth


@dataclass(frozen=True)
class Shares:
    """All in 0..1; None where there was nothing to count."""

    crops: int
    class_accuracy: float | None
    json_valid: float | None
    good_called_defect: float | None
    defect_called_good: float | None


def shares(rows: Sequence[Answered]) -> dict[str, Any]:
    good = [row for row in rows if row.truth == NO_DEFECT]
    defects = [row for row in rows if row.truth != NO_DEFECT]
    return asdict(
        Shares(
            crops=len(rows),
            class_accuracy=share([row.right for row in rows]),
            json_valid=share([row.valid for row in rows]),
            good_called_defect=share([row.valid and row.said != NO_DEFECT for row in good]),
            defect_called_good=share([row.valid and row.said == NO_DEFECT for row in defects]),
        )
    )


def share(of: Sequence[bool]) -> float | None:
    return round(sum(of) / len(of), 4) if of else None


def gain(before: Sequence[Answered], after: Sequence[Answered], *, seed: int = 0) -> dict[str, float] | None:
    """How much more often the class is right, with the paired bootstrap's 95 % interval.

    Frames are drawn, not crops: crops of one frame are right and wrong together.
    """
    if not before:
        return None
    frames = sorted({row.frame for row in before})
    number = {name: place for place, name in enumerate(frames)}
    sums, counts = np.zeros(len(frames)), np.zeros(len(frames))
    for one, other in zip(before, after, strict=True):
        sums[number[one.frame]] += other.right - one.right
        counts[number[one.frame]] += 1
    drawn = np.random.default_rng((seed, 95)).integers(len(frames), size=(DRAWS, len(frames)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return {"mean": round(float(sums.sum() / counts.sum()), 4), "low": round(float(low), 4),
            "high": round(float(high), 4)}  # fmt: skip


def confusion(rows: Sequence[Answered], class_names: Sequence[str]) -> dict[str, Any]:
    """Counts: a row for each class that is there, a column for each that was said."""
    names = [*class_names, NO_DEFECT]
    columns = [*names, UNREADABLE]
    counted = Counter((row.truth, row.said if row.valid and row.said in names else UNREADABLE) for row in rows)
    return {"said": columns, "true": names, "counts": [[counted[name, said] for said in columns] for name in names]}


def calibration(rows: Sequence[Answered]) -> dict[str, Any]:
    """Expected calibration error and, for each tenth of confidence, how many and how often right."""
    valid = [row for row in rows if row.valid]
    if not valid:
        return {"ece": None, "bins": []}
    sure = np.array([row.confidence for row in valid])
    right = np.array([row.right for row in valid], np.float64)
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = [
        {
            "crops": int((place == number).sum()),
            "confidence": round(float(sure[place == number].mean()), 4),
            "accuracy": round(float(right[place == number].mean()), 4),
        }
        for number in range(BINS)
        if (place == number).any()
    ]
    error = sum(each["crops"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / len(valid)
    return {"ece": round(float(error), 4), "bins": bins}
