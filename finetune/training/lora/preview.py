"""What a run would train on and cost, before it is launched: sixteen augmented crops, time and memory.

    python -m finetune.training preview run.json out/

Everything that the run itself would check first is checked here. Leaves `out/preview.json` and `out/crops/`; says
what it does in `events.jsonl`, as a run does. Exit codes as those of a run.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from finetune.training.events import EventLog
from finetune.training.lora.coaugment import Example, preview
from finetune.training.lora.recipe import LoraRecipe
from finetune.training.lora.run import Run
from finetune.training.outcome import exit_code_of
from finetune.training.report.report import png_of
from finetune.training.supervision import Supervision

FILE: Final = "preview.json"
CROPS: Final = "crops"
COUNT: Final = 16


def main(argv: Sequence[str]) -> int:
    recipe_path, out = Path(argv[0]), Path(argv[1])
    out.mkdir(parents=True, exist_ok=True)
    events, supervision = EventLog(out), Supervision()
    return exit_code_of(events, lambda: _show(Run(LoraRecipe.read(recipe_path), out, events, supervision)))


def _show(run: Run) -> None:
    torch.set_num_threads(run.recipe.threads)
    run.prepare()
    examples = preview(run.places, run.how, run.errors, run.manifest.classes, seed=run.recipe.seed, count=COUNT)
    (run.out / CROPS).mkdir(exist_ok=True)
    shown = {
        "estimate": run.figures,
        "places": {"train": len(run.places), "validation": len(run.validation)},
        "crops": [_kept(run.out, number, example) for number, example in enumerate(examples)],
    }
    partial = run.out / (FILE + ".partial")
    partial.write_text(json.dumps(shown) + "\n", encoding="utf-8")
    partial.replace(run.out / FILE)
    run.events.say("done", sentence=f"{len(examples)} crops of {len(run.places)} places.")


def _kept(out: Path, number: int, example: Example) -> dict[str, Any]:
    path = out / CROPS / f"{number}.png"
    path.write_bytes(png_of(example))
    return {
        "picture": f"{CROPS}/{path.name}",
        "frame": example.frame,
        "defect_class": example.answer["defect_class"],
        "question": example.question,
        "answer": {**example.answer, **example.computed},
        "hint": list(example.hint) if example.hint else None,
        "template": example.template is not None,
    }
