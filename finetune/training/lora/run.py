"""One run of `describer-lora` in one folder: check, estimate, train, judge, keep the best, and say all of it.

    python -m finetune.training run.json out/

A run that finds its checkpoint in `out/` goes on from it, and ends with the weights of a run that was never stopped.
`out/adapter/` is the result, and `out/report/` how it does on the test split beside its base. Exit codes: 0 done,
1 failed (the last event says why), 3 cancelled.
"""

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from finetune.training.events import EventLog
from finetune.training.faults import Cancelled, TrainingFault
from finetune.training.lora.box_errors import BoxErrors, fit_box_errors
from finetune.training.lora.coaugment import PLAIN, Augmentation, Example, Place, augmented
from finetune.training.lora.estimate import check_base_fits, estimate
from finetune.training.lora.judging import Judged, answers_to, judge
from finetune.training.lora.learners import Learner
from finetune.training.lora.places import places_of
from finetune.training.lora.recipe import LoraRecipe
from finetune.training.manifest import Manifest, check_pictures, read_manifest
from finetune.training.outcome import exit_code_of
from finetune.training.report.report import BASE, FILE, VERSION, Arm, digest_of_file, png_of, write_report
from finetune.training.report.trials import Trial, trials_of
from finetune.training.supervision import Supervision
from scheduling.serving.describers import SMALL, SMALL_FOLDER, is_small_folder, load_describer
from scheduling.serving.describers.adapters import WEIGHTS_FILE, Adapter, write_lineage
from scheduling.serving.model_folder import RefusedFiles, check_folder

CHECKPOINT: Final = "checkpoint.safetensors"
ADAPTER: Final = "adapter"
CURRENT: Final = "current"
REPORT: Final = "report"
SAMPLES: Final = "samples"
PACKAGES: Final = ("torch", "transformers", "peft", "safetensors", "numpy", "opencv-python")


def main(argv: Sequence[str]) -> int:
    """`run.json out/`: the run's exit code."""
    recipe_path, out = Path(argv[0]), Path(argv[1])
    out.mkdir(parents=True, exist_ok=True)
    events, supervision = EventLog(out), Supervision()
    return exit_code_of(events, lambda: Run(LoraRecipe.read(recipe_path), out, events, supervision).run())


class Run:
    """See the module."""

    def __init__(self, recipe: LoraRecipe, out: Path, events: EventLog, supervision: Supervision) -> None:
        self.recipe, self.out, self.events, self.supervision = recipe, out, events, supervision
        self.step, self.best = 0, -1.0
        self.started, self.report_s = time.monotonic(), 0.0

    def run(self) -> None:
        torch.set_num_threads(self.recipe.threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        self.prepare()
        self.resume()
        self._keep_samples()
        self.events.say("started", step=self.step, steps=self.steps)
        self.train()
        self.finish()

    def prepare(self) -> None:
        """Everything that can go wrong before hours are spent goes wrong here."""
        self.manifest: Manifest = read_manifest(Path(self.recipe.dataset))
        self.how: Augmentation = self.recipe.how
        self.events.log(f"Reads and checks {len(self.manifest.frames)} pictures.")
        check_pictures(self.manifest)
        train, held_out = self.manifest.of("train"), self.manifest.of("val")
        self.errors: BoxErrors = fit_box_errors(train)
        self.events.log(f"{self.errors.count} boxes of the detector were matched with regions to learn its errors.")
        common: dict[str, Any] = {"seed": self.recipe.seed, "good_share": self.recipe.good_share}
        self.places: list[Place] = places_of(train, detector_boxes=self.recipe.detector_boxes, **common)
        judged_places = places_of(held_out, detector_boxes=self.recipe.detector_boxes, **common)
        self.validation = self._validation(judged_places)
        self.trials = self._trials()
        self.supervision.check()
        self.events.log(f"{len(self.places)} places to learn from, {len(self.validation)} to judge on. Opens the base.")
        self.learner: Learner = open_learner(self.recipe, self.manifest.classes)
        self.steps = self.recipe.steps(len(self.places))
        measured = 2 * sum(len(trial.examples) for trial in self.trials)
        counts = {"validation": len(self.validation), "report": measured}
        self.figures = estimate(self.recipe, self.learner, self.examples(0), self.steps, self.out, **counts)
        self.report_s = float(self.figures["report_seconds"])
        self.events.say("estimate", **self.figures)

    def _trials(self) -> list[Trial]:
        recipe, classes = self.recipe, self.manifest.classes
        return trials_of(
            self.manifest.of("test"), classes,
            seed=recipe.seed, good_share=recipe.good_share, most=recipe.most_report_places,
        )  # fmt: skip

    def _validation(self, places: list[Place]) -> list[Example]:
        """Held-out places with the boxes that service would send: the detector's own, else the true ones."""
        rng = np.random.default_rng((self.recipe.seed, 5))
        most = self.recipe.most_validation_places
        if len(places) > most:
            places = [places[int(i)] for i in sorted(rng.choice(len(places), most, replace=False))]
        as_served = Augmentation(**(PLAIN.__dict__ | {"hint_missing": 0.0, "replayed_share": 1.0}))
        nothing = BoxErrors({}, {}, {})
        examples = []
        for place in places:
            example = augmented(place, as_served, nothing, self.manifest.classes, rng)
            examples.append(example if place.own_box else _without_hint(example))
        return examples

    def resume(self) -> None:
        path = self.out / CHECKPOINT
        if not path.exists():
            return
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata()
            if about["recipe"] != self._fingerprint():
                raise TrainingFault(
                    "other_recipe", "The folder holds a run with another recipe or dataset.", "Use another folder."
                )
            self.learner.restore(load_file(path))
        except SafetensorError as error:
            raise TrainingFault("bad_checkpoint", f"{CHECKPOINT} cannot be read: {error}.", "Start over.") from error
        self.step, self.best = int(about["step"]), float(about["best"])
        self.events.log(f"It goes on from step {self.step}.")

    def train(self) -> None:
        while self.step < self.steps:
            self.supervision_point()
            rate = self.recipe.rate_at(self.step, self.steps, self.learner.peak_rate)
            loss = self.learner.loss(self.examples(self.step))
            if not torch.isfinite(loss):
                raise TrainingFault("diverged", f"The loss was no number at step {self.step}.", "Lower the rate.")
            self.learner.step(loss, rate)
            self.step += 1
            self._say_step(float(loss.detach()), rate)
            last = self.step == self.steps
            if last or self.step % self.recipe.validate_steps == 0:
                self.validate()
            if last or self.step % self.recipe.checkpoint_steps == 0:
                self.checkpoint()

    def supervision_point(self) -> None:
        """Between steps: a run that is to end writes its checkpoint first."""
        try:
            self.supervision.check()
        except Cancelled:
            self.checkpoint()
            raise

    def examples(self, step: int) -> list[Example]:
        """The batch of a step; each step draws from its own stream, so a resumed run goes on alike."""
        rng = np.random.default_rng((self.recipe.seed, 7, step))
        chosen = rng.integers(0, len(self.places), self.recipe.batch)
        names = self.manifest.classes
        return [augmented(self.places[int(i)], self.how, self.errors, names, rng) for i in chosen]

    @torch.no_grad()
    def validate(self) -> Judged:
        folder = self.out / CURRENT
        self._write_adapter(folder)
        answers = answers_to(self.learner.describer(folder), self.validation, self.manifest.classes)
        judged = judge(self.validation, answers)
        better = judged.field_f1 > self.best
        self.events.say("validated", step=self.step, best=better, **judged.__dict__)
        for number, (example, event) in enumerate(zip(self.shown, answers, strict=False)):
            x0, y0, x1, y1 = (round(value, 1) for value in example.box_xyxy)
            box = [x0, y0, round(x1 - x0, 1), round(y1 - y0, 1)]
            told = {"frame": example.frame, "box": box, "picture": f"{SAMPLES}/{number}.png"}
            answer = shown_answer(event.answer, example)
            self.events.say("sample", step=self.step, **told, truth=dict(example.answer), answer=answer)
        if better:
            self.best = judged.field_f1
            _replace_folder(folder, self.out / ADAPTER)
        return judged

    @property
    def shown(self) -> list[Example]:
        """The crops whose answers are told after each validation: always the same, so that one sees them change."""
        return self.validation[: self.recipe.samples]

    def _keep_samples(self) -> None:
        folder = self.out / SAMPLES
        folder.mkdir(exist_ok=True)
        for number, example in enumerate(self.shown):
            (folder / f"{number}.png").write_bytes(png_of(example))

    def checkpoint(self) -> None:
        about = {"step": str(self.step), "best": repr(self.best), "recipe": self._fingerprint()}
        partial = self.out / (CHECKPOINT + ".partial")
        save_file(self.learner.state(), partial, metadata=about)
        partial.replace(self.out / CHECKPOINT)
        self.events.say("checkpoint", step=self.step, path=CHECKPOINT)

    def finish(self) -> None:
        folder = self.out / ADAPTER
        weights = folder / WEIGHTS_FILE
        if not weights.exists():
            raise TrainingFault("no_adapter", "No adapter was ever judged.", "Start the run in an empty folder.")
        shutil.rmtree(self.out / CURRENT, ignore_errors=True)
        report = self.report(folder)
        adapter = {"path": ADAPTER, "digest": Adapter.read(folder).digest, "bytes": weights.stat().st_size}
        sentence = f"The best adapter reached a field F1 of {self.best:.3f} on the validation split."
        self.events.say("done", step=self.step, sentence=sentence, adapter=adapter, field_f1=self.best, report=report)

    def report(self, adapter: Path) -> dict[str, Any]:
        """Base and best adapter on the test split, which nothing was chosen by. Where it lies, with its digest."""
        self.events.log("Measures base and version on the test split.")
        about = self._about(Adapter.read(adapter).digest)
        del self.learner  # its memory is the describers' now
        threads = self.recipe.threads
        arms = (
            Arm(BASE, "Base", lambda: load_describer(self.recipe.base, threads=threads)),
            Arm(VERSION, "Version", lambda: load_describer(str(adapter), threads=threads)),
        )
        try:
            write_report(
                self.out / REPORT, self.trials, arms, self.manifest.classes, about=about,
                between=self.supervision.check, told=lambda **figures: self.events.say("measured", **figures),
            )  # fmt: skip
        except ValueError as error:
            raise TrainingFault("no_report", f"It could not be measured: {error}", "See the log.") from error
        path = self.out / REPORT / FILE
        return {"path": f"{REPORT}/{FILE}", "digest": digest_of_file(path)}

    def _about(self, weights: str) -> dict[str, Any]:
        """What was measured, on what and made how: enough to do it again."""
        recipe = self.recipe.as_json()
        return {
            "trainer": self.recipe.trainer,
            "recipe": recipe,
            "digests": {
                "dataset": self.manifest.digest,
                "recipe": hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
                "base": self.learner.base_digest,
                "weights": weights,
            },
            "trained_seconds": round(time.monotonic() - self.started, 1),
            "steps": self.steps,
            "estimate": self.figures,
            "packages": {name: version(name) for name in PACKAGES},
        }

    def _write_adapter(self, folder: Path) -> None:
        self.learner.save_adapter(folder)
        write_lineage(
            folder,
            {
                "base": {"spec": self.learner.base_spec, "digest": self.learner.base_digest},
                "classes": list(self.manifest.classes),
                "product": self.manifest.product,
                "dataset": self.manifest.digest,
                "recipe": self.recipe.as_json(),
                "step": self.step,
                "box_errors": self.errors.as_json(),
                "packages": {name: version(name) for name in PACKAGES},
                "machine": platform.machine(),
            },
        )

    def _say_step(self, loss: float, rate: float) -> None:
        spent, done = time.monotonic() - self.started, max(1, self.step)
        left = round(spent / done * (self.steps - self.step) + self.report_s, 1)
        self.events.say("step", step=self.step, loss=round(loss, 5), learning_rate=round(rate, 8), seconds_left=left)

    def _fingerprint(self) -> str:
        return json.dumps([self.manifest.digest, self.recipe.as_json()], sort_keys=True)


def open_learner(recipe: LoraRecipe, class_names: Sequence[str]) -> Learner:
    """The learner that fits the base. Raises RefusedFiles or TrainingFault where it cannot be opened."""
    folder = SMALL_FOLDER if recipe.base == SMALL else Path(recipe.base)
    if folder.is_dir():
        check_base_fits(check_folder(folder))
    if recipe.base == SMALL or is_small_folder(folder):
        from finetune.training.lora.small_learner import SmallLearner

        return SmallLearner(folder, recipe.base, recipe, class_names)
    from finetune.training.lora.hub_learner import HubLearner

    try:
        return HubLearner(recipe.base, recipe)
    except RefusedFiles as error:
        raise TrainingFault("refused_weights", str(error), "Use safetensors weights.") from error


def _without_hint(example: Example) -> Example:
    fields: dict[str, Any] = example.__dict__ | {"hint": None}
    return Example(**fields)


def shown_answer(answer: Mapping[str, Any], example: Example) -> dict[str, Any]:
    """An answer as the node would complete it: place and size come from the box in its frame, which the judge left out.

    Severity depends on the class as well, so it is told only where the class is right.
    """
    right = answer.get("defect_class") == example.answer["defect_class"]
    known = {name: value for name, value in example.computed.items() if right or name != "severity"}
    return {name: value for name, value in answer.items() if name != "severity"} | known


def _replace_folder(source: Path, target: Path) -> None:
    """Copy a folder over another so that a reader finds the old one or the new one, each whole."""
    fresh = target.with_name(target.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(source, fresh)
    old = target.with_name(target.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.replace(old)
    fresh.replace(target)
    shutil.rmtree(old, ignore_errors=True)
