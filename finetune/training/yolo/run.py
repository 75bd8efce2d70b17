"""One run of kind `detector` in one folder: check, estimate, train, judge, keep the best, export it, and say all of it.

    python -m finetune.training run.json out/

A run that finds its checkpoint in `out/` goes on from it, and ends with the weights of a run that was never stopped.
`out/detector/detector.onnx` is the result, `out/weights.safetensors` what a further run may begin from. Exit codes:
0 done, 1 failed (the last event says why), 3 cancelled. The network and its loss are ultralytics'; its trainer and its
checkpoints, which are pickles, are not used. On a processor a run can be repeated to the last bit, on a GPU nearly.
"""

import contextlib
import hashlib
import json
import platform
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from finetune.training.detector_export import export_onnx
from finetune.training.detector_network import build_network, loss_of, set_loss_stage
from finetune.training.detector_optimiser import optimisers_of
from finetune.training.detector_state import Training, follow, load_state, save_atomically, save_state
from finetune.training.events import EventLog
from finetune.training.faults import Cancelled, TrainingFault
from finetune.training.manifest import Manifest, ManifestFrame, check_pictures, read_manifest
from finetune.training.outcome import exit_code_of
from finetune.training.resources import MIB, available_bytes, available_bytes_of_machine, check_disk
from finetune.training.supervision import Supervision
from finetune.training.yolo.bases import Base, base_of, classes_in_order, open_network
from finetune.training.yolo.judging import Judged, detector_in_training, judge, regions_of, sample_of, sure_score
from finetune.training.yolo.memory import check_memory
from finetune.training.yolo.pictures import FrameStore, Piece, piece_of
from finetune.training.yolo.recipe import YoloRecipe
from scheduling.serving.appearance import measure, training_reference
from scheduling.serving.contracts import Detector
from scheduling.serving.detectors import load_detector
from scheduling.serving.detectors.model_file import SURE_KEY, TILE_KEY, WHOLE
from scheduling.serving.tiling import Scale

POINTER: Final = "checkpoint.json"
"""Names the checkpoint that counts and its digest; replaced in one step once the file is whole."""

BEST: Final = "weights.safetensors"
ARTIFACT: Final = "detector"
ONNX: Final = "detector.onnx"
PACKAGES: Final = ("torch", "ultralytics", "numpy", "opencv-python", "onnx", "onnxruntime")
HANDOVER_UNTIL: Final = 0.65
"""The share of a run in which the loss moves to the head that is served."""

RATES: Final = {True: 0.01, False: 0.02}
"""Muon's peak rate from learned weights and from nothing; AdamW's is a share of it."""
ADAM_SHARE: Final = 0.15

STORE_SHARE: Final = 0.25
"""Of the free memory, so much may hold decoded frames."""

LOOK_AHEAD: Final = 3
SMALL_FRAME_SHARE: Final = 0.8
"""Where the longest frame is shorter than this share of the network's side, frames are enlarged to it."""

APPEARANCE_FRAMES: Final = 400


def main(argv: Sequence[str]) -> int:
    """`run.json out/`: the run's exit code."""
    recipe_path, out = Path(argv[0]), Path(argv[1])
    out.mkdir(parents=True, exist_ok=True)
    events, supervision = EventLog(out), Supervision()
    return exit_code_of(events, lambda: Run(YoloRecipe.read(recipe_path), out, events, supervision).run())


class Run:
    """See the module."""

    def __init__(self, recipe: YoloRecipe, out: Path, events: EventLog, supervision: Supervision) -> None:
        self.recipe, self.out, self.events, self.supervision = recipe, out, events, supervision
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.best, self.earlier_s, self.started = -1.0, 0.0, time.monotonic()

    def run(self) -> None:
        torch.set_num_threads(self.recipe.threads)
        torch.use_deterministic_algorithms(self.device.type == "cpu", warn_only=True)
        cv2.setNumThreads(1)  # pieces are cut by several threads already
        self.prepare()
        self.resume()
        self.events.say("started", step=self.training.step, steps=self.steps)
        with ThreadPoolExecutor(self.recipe.threads) as self.cutters:
            self.train()
        self.finish()

    # -- before hours are spent --------------------------------------------------------------------

    def prepare(self) -> None:
        """Everything that can go wrong early goes wrong here."""
        self.base: Base = base_of(self.recipe.base)
        self.manifest: Manifest = read_manifest(Path(self.recipe.dataset))
        check_pictures(self.manifest)
        self.classes = classes_in_order(self.base, self.manifest.classes)
        self.frames = self.manifest.of("train")
        self.validation = self._validation_frames()
        self.store = FrameStore(int(STORE_SHARE * available_bytes_of_machine()))
        self.tiles = self._looks_at_tiles()
        self.scale = Scale(self.recipe.side_px) if self.tiles else Scale()
        self.supervision.check()
        self.steps = self.recipe.steps(len(self.frames))
        self.training = self._fresh()
        self.events.say("estimate", **self._estimate())
        self.training = self._fresh()

    def _fresh(self) -> Training:
        network = open_network(self.base, self.classes, self.recipe.seed).to(
            self.device, memory_format=torch.channels_last
        )
        network.criterion = network.init_criterion()
        self.peak_rate = self.recipe.rate or RATES[self.base.weights is not None]
        optimisers = optimisers_of(
            network,
            muon_rate=self.peak_rate,
            adam_rate=ADAM_SHARE * self.peak_rate,
            weight_decay=self.recipe.weight_decay,
        )
        average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        return Training(network, average, optimisers)

    def _validation_frames(self) -> list[ManifestFrame]:
        frames, most = self.manifest.of("val"), self.recipe.most_validation_frames
        if len(frames) <= most:
            return frames
        chosen = np.random.default_rng((self.recipe.seed, 5)).choice(len(frames), most, replace=False)
        return [frames[int(index)] for index in sorted(chosen)]

    def _looks_at_tiles(self) -> bool:
        if self.recipe.scale != "auto":
            return self.recipe.scale == "tiles"
        return max(max(frame.size_wh) for frame in self.frames) >= SMALL_FRAME_SHARE * self.recipe.side_px

    def _estimate(self) -> dict[str, Any]:
        """Figures for the event `estimate`, from one batch that is computed and thrown away. Raises TrainingFault."""
        network = self.training.network
        trained = sum(parameter.numel() for parameter in network.parameters())
        check_disk(self.out, 4 * trained)
        pieces = [self._piece(0, index, 0.0) for index in range(self.recipe.batch)]
        needed = check_memory(lambda count: self._loss(pieces[:count]), self.recipe.batch, trained, self.device)
        started = time.monotonic()
        self._loss(pieces).backward()  # type: ignore[no-untyped-call]
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = 1.15 * (time.monotonic() - started) * self.steps
        network.zero_grad(set_to_none=True)
        if self.recipe.max_minutes:
            seconds = min(seconds, 60 * self.recipe.max_minutes)
        return {
            "steps": self.steps,
            "seconds": round(seconds, 1),
            "memory_mib": needed // MIB,
            "free_memory_mib": available_bytes() // MIB,
            "parameters": trained,
            "trained_parameters": trained,
        }

    # -- going on ----------------------------------------------------------------------------------

    def resume(self) -> None:
        """From the checkpoint that the pointer names, and only with the digest that this run recorded."""
        pointer = self.out / POINTER
        if not pointer.exists():
            return
        try:
            told = json.loads(pointer.read_text())
            path = self.out / Path(str(told["path"])).name
            if _digest(path) != told["digest"]:
                raise TrainingFault(
                    "bad_checkpoint", f"{path.name} is not what this run has written.", "Start over in another folder."
                )
            with safe_open(path, "pt") as file:
                about = file.metadata()
            self._check_recipe(about["recipe"])
            load_state(self.training, path)
            self.earlier_s = float(about["seconds"])
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise TrainingFault(
                "bad_checkpoint", f"{POINTER} or its file cannot be read: {error}.", "Start over."
            ) from error
        if (self.out / BEST).exists():
            with safe_open(self.out / BEST, "pt") as file:
                self.best = float(file.metadata()["map50"])
        self.events.log(f"It goes on from step {self.training.step}.")

    def _check_recipe(self, fingerprint: str) -> None:
        if fingerprint != self._fingerprint():
            raise TrainingFault(
                "other_recipe", "The folder holds a run with another recipe or dataset.", "Use another folder."
            )

    def checkpoint(self) -> None:
        name = f"checkpoint-{self.training.step}.safetensors"
        about = {"recipe": self._fingerprint(), "seconds": repr(self.spent_s)}
        save_state(self.training, self.out / name, about)
        digest = _digest(self.out / name)
        _write(self.out / POINTER, {"path": name, "digest": digest})
        for old in self.out.glob("checkpoint-*.safetensors"):
            if old.name != name:
                old.unlink(missing_ok=True)
        self.events.say("checkpoint", step=self.training.step, path=name, digest=digest)

    # -- training ----------------------------------------------------------------------------------

    @property
    def spent_s(self) -> float:
        """Seconds of all the run's attempts."""
        return self.earlier_s + time.monotonic() - self.started

    @property
    def progress(self) -> float:
        """How much of the run is over: by its steps, or by its time where that comes first."""
        by_steps = self.training.step / self.steps
        limit = 60 * self.recipe.max_minutes
        return min(1.0, max(by_steps, self.spent_s / limit if limit else 0.0))

    def train(self) -> None:
        waiting = {step: self._ordered(step) for step in range(self.training.step, self.training.step + LOOK_AHEAD)}
        while self.training.step < self.steps and self.progress < 1:
            self.supervision_point()
            step = self.training.step
            waiting[step + LOOK_AHEAD] = self._ordered(step + LOOK_AHEAD)
            loss = self._one_step([future.result() for future in waiting.pop(step)])
            self._say_step(loss)
            over = self.training.step == self.steps or self.progress >= 1
            if over or self.training.step % self.recipe.validate_steps == 0:
                self.validate()
            if over or self.training.step % self.recipe.checkpoint_steps == 0:
                self.checkpoint()
        for futures in waiting.values():
            for future in futures:
                future.cancel()

    def supervision_point(self) -> None:
        """Between steps: a run that is to end writes its checkpoint first."""
        try:
            self.supervision.check()
        except Cancelled:
            self.checkpoint()
            raise

    def _ordered(self, step: int) -> list["Future[Piece]"]:
        """The pieces of a step, being cut in the background."""
        progress = step / self.steps if not self.recipe.max_minutes else self.progress
        return [self.cutters.submit(self._piece, step, index, progress) for index in range(self.recipe.batch)]

    def _piece(self, step: int, index: int, progress: float) -> Piece:
        """Every frame once an epoch, in an order of its own; each piece draws from its own stream."""
        epoch, place = divmod(step * self.recipe.batch + index, len(self.frames))
        order = np.random.default_rng((self.recipe.seed, 3, epoch)).permutation(len(self.frames))
        return piece_of(
            self.frames,
            int(order[place]),
            self.store,
            self.recipe,
            self.classes,
            tiles=self.tiles,
            progress=progress,
            rng=np.random.default_rng((self.recipe.seed, 7, step, index)),
        )

    def _loss(self, pieces: Sequence[Piece]) -> torch.Tensor:
        pictures = torch.from_numpy(np.stack([piece.picture for piece in pieces])).to(self.device)
        pictures = pictures.permute(0, 3, 1, 2).float().div_(255)  # channels stay last in memory
        rows = [np.insert(piece.targets, 0, index, axis=1) for index, piece in enumerate(pieces)]
        targets = torch.from_numpy(np.concatenate(rows).astype(np.float32)).to(self.device)
        return loss_of(self.training.network, pictures, targets)

    def _one_step(self, pieces: Sequence[Piece]) -> float:
        training, progress = self.training, self.progress
        set_loss_stage(training.network, min(1.0, progress / HANDOVER_UNTIL))
        loss = self._loss(pieces)
        training.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(training.network.parameters(), self.recipe.gradient_limit)
        self.pace = self.recipe.pace_at(progress)
        for optimiser in training.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = optimiser.defaults["lr"] * self.pace
            optimiser.step()
        training.step += 1
        follow(training, min(self.recipe.average_decay, training.step / (training.step + 20)))
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingFault("diverged", f"The loss was no number at step {training.step}.", "Lower the rate.")
        return value

    def _say_step(self, loss: float) -> None:
        spent, progress = time.monotonic() - self.started, max(self.progress, 1e-6)
        left = round(self.spent_s / progress * (1 - progress), 1) if spent else 0.0
        rate = round(self.peak_rate * self.pace, 8)
        self.events.say("step", step=self.training.step, loss=round(loss, 5), learning_rate=rate, seconds_left=left)

    # -- judging -----------------------------------------------------------------------------------

    def validate(self) -> Judged:
        """Look at the validation frames with the running average; keep it where it is the best so far."""
        found, seconds = regions_of(self._looked_at_with(self.training.average), self.validation, self.store)
        judged = judge(found, self.validation, self.classes, seconds)
        better = judged.map50 > self.best
        self.events.say("validated", step=self.training.step, best=better, **asdict(judged))
        for frame, regions in list(zip(self.validation, found, strict=True))[: self.recipe.samples]:
            self.events.say("sample", step=self.training.step, **sample_of(frame, regions))
        if better:
            self.best = judged.map50
            about = {"design": self.base.design, "class_names": json.dumps(self.classes), "map50": repr(judged.map50)}
            about |= {"step": str(self.training.step), "dataset": self.manifest.digest}
            save_atomically(self.training.average, self.out / BEST, about)
        return judged

    @cached_property
    def _looked_at(self) -> Any:
        """A network beside the one that learns, to judge with."""
        network = build_network(len(self.classes), self.base.design)
        return network.to(self.device, memory_format=torch.channels_last)

    def _looked_at_with(self, weights: Mapping[str, torch.Tensor]) -> Detector:
        return detector_in_training(
            self._looked_at,
            weights,
            self.classes,
            side_px=self.recipe.side_px,
            scale=self.scale,
            device=self.device,
        )

    def finish(self) -> None:
        """Export the best weights, and judge what a node will serve: on validation, and once on the test split."""
        if not (self.out / BEST).exists():  # the time was over before the first step
            self.validate()
        with safe_open(self.out / BEST, "pt") as file:
            step = int(file.metadata()["step"])
        folder = self.out / ARTIFACT
        folder.mkdir(exist_ok=True)
        onnx = folder / ONNX
        sure = self._sure_score()
        self._export(onnx, sure)
        detector = load_detector(f"onnxruntime:{onnx}", threads=self.recipe.threads)
        judged, test = (self._judged_by(detector, frames) for frames in (self.validation, self.manifest.of("test")))
        self.events.say("validated", step=step, best=True, **asdict(judged))
        report = {"validation": asdict(judged), "test": asdict(test), "step": step, "seconds": round(self.spent_s, 1)}
        report["sure_score"] = sure
        _write(self.out / "report.json", report)
        _write(folder / "lineage.json", self._lineage(step))
        _write(folder / f"{onnx.stem}.trained-on.json", self._trained_on())
        made = {"path": ARTIFACT, "digest": _digest(onnx), "bytes": onnx.stat().st_size}
        sentence = f"The detector of step {step} reached a mAP50 of {judged.map50:.3f} on the validation split."
        self.events.say(
            "done", step=self.training.step, sentence=sentence, detector=made, map50=judged.map50, report=report
        )

    def _judged_by(self, detector: Detector, frames: Sequence[ManifestFrame]) -> Judged:
        found, seconds = regions_of(detector, frames, self.store)
        return judge(found, frames, self.classes, seconds)

    def _sure_score(self) -> float | None:
        """From which score on the best weights are to be trusted above a template."""
        found, _ = regions_of(self._looked_at_with(load_file(self.out / BEST)), self.validation, self.store)
        return sure_score(found, self.validation, self.classes)

    def _export(self, onnx: Path, sure: float | None) -> None:
        about = {"name": "detector", TILE_KEY: str(self.recipe.side_px) if self.tiles else WHOLE}
        if sure is not None:
            about[SURE_KEY] = repr(sure)
        if self.manifest.product:
            about["products"] = json.dumps([self.manifest.product])
        partial = onnx.with_suffix(".partial")
        export_onnx(
            self.out / BEST,
            partial,
            class_names=self.classes,
            side_px=self.recipe.side_px,
            design=self.base.design,
            about=about,
        )
        partial.replace(onnx)

    def _trained_on(self) -> dict[str, Any]:
        """How the training frames look as a whole, which is how a node knows a picture of something else."""
        chosen = self.frames[:: -(-len(self.frames) // APPEARANCE_FRAMES)]
        reference = training_reference([measure(self.store.picture(frame)) for frame in chosen])
        return {"products": [self.manifest.product] if self.manifest.product else [], **reference.as_json()}

    def _lineage(self, step: int) -> dict[str, Any]:
        return {
            "base": {"spec": self.base.spec, "design": self.base.design, "digest": self.base.digest},
            "classes": list(self.classes),
            "product": self.manifest.product,
            "dataset": self.manifest.digest,
            "recipe": self.recipe.as_json(),
            "step": step,
            "weights": _digest(self.out / BEST),
            "packages": _versions(),
            "machine": f"{platform.machine()} {self.device.type}",
        }

    def _fingerprint(self) -> str:
        return json.dumps([self.manifest.digest, self.base.digest, self.recipe.as_json()], sort_keys=True)


def _versions() -> dict[str, str]:
    """Of the packages that decide the result, those that are here under these names."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: Any) -> None:
    """A reader finds the old file or the new one, each whole."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)
