"""How long a run will take and how much memory and disk it needs, before it starts; refused where it cannot fit."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psutil
import torch

from finetune.training.faults import TrainingFault
from finetune.training.lora.coaugment import Example
from finetune.training.lora.learners import Learner
from finetune.training.lora.recipe import LoraRecipe
from finetune.training.resources import ADAM_BYTES, MIB, available_bytes, check_disk

ANSWER_SHARE: Final = 0.5
"""Seconds that an answer takes against those that a trained example takes: roughly, for the estimate alone."""


def estimate(
    recipe: LoraRecipe,
    learner: Learner,
    examples: Sequence[Example],
    steps: int,
    out: Path,
    *,
    validation: int,
    report: int,
) -> dict[str, Any]:
    """Figures for the event `estimate`, from one batch that is computed and thrown away.

    `validation` crops are answered each time that is validated, `report` crops once at the end.
    Raises TrainingFault where disk or memory do not suffice.
    """
    parameters, trained = learner.parameters()
    before = psutil.Process().memory_info().rss
    started = time.monotonic()
    learner.loss(examples).backward()  # type: ignore[no-untyped-call]
    seconds = time.monotonic() - started
    learner.optimizer.zero_grad(set_to_none=True)
    grown = max(0, psutil.Process().memory_info().rss - before)
    rounds = -(-steps // recipe.validate_steps)
    an_answer = ANSWER_SHARE * seconds / max(1, len(examples))
    judging, reporting = an_answer * validation * rounds, an_answer * report
    needed = before + grown + ADAM_BYTES * trained
    free = available_bytes()
    check_disk(out, trained)
    if ADAM_BYTES * trained + grown > free:
        raise TrainingFault(
            "out_of_memory",
            f"The run needs about {(ADAM_BYTES * trained + grown) // MIB} MiB more, {free // MIB} MiB are free.",
            "Use a smaller batch, a smaller rank or a smaller base.",
        )
    return {
        "steps": steps,
        "seconds": round(1.1 * seconds * steps + judging + reporting, 1),
        "report_seconds": round(reporting, 1),
        "memory_mib": needed // MIB,
        "free_memory_mib": free // MIB,
        "parameters": parameters,
        "trained_parameters": trained,
    }


def check_base_fits(files: Sequence[Path]) -> None:
    """Raises TrainingFault where a base in float32 would not fit into the memory that is free."""
    stored = sum(path.stat().st_size for path in files)
    needed = stored * (1 if torch.cuda.is_available() else 2)
    free = available_bytes()
    if needed > free:
        raise TrainingFault(
            "base_too_large",
            f"The base needs about {needed // MIB} MiB, {free // MIB} MiB are free.",
            "Use a smaller base, or a machine with more memory.",
        )
