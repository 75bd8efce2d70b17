"""A YOLO-style network with an end-to-end head, whatever runtime runs it. No runtime's type passes this file."""

import time
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from scheduling.serving.contracts import DEFAULT_MIN_SCORE, DetectedRegion, Rgb, StageTimings
from scheduling.serving.detectors.model_file import BadModel, ModelFile
from scheduling.serving.preprocess import Tensor, fit, to_regions, to_tensor

LARGEST_BATCH: Final = 8


class Runner(Protocol):
    """Runs the graph: (B, 3, S, S) float32 in 0..1 to (B, rows, 6). `runtime` says what it is, for people."""

    runtime: str

    def run(self, batch: Tensor) -> Tensor: ...


class YoloDetector:
    """See `Detector`. It looks at no template."""

    def __init__(self, model: ModelFile, runner: Runner) -> None:
        self.name = model.name
        self.version = model.version
        self.digest = model.digest
        self.class_names = model.class_names
        self.products = model.products
        self.scale = model.scale
        self.sure_score = model.sure_score
        self.runtime = runner.runtime
        self.last_timings = StageTimings(0.0, 0.0, 0.0)
        self._side_px = model.side_px
        self._batch = min(model.batch or LARGEST_BATCH, LARGEST_BATCH)
        self._fixed_batch = model.batch
        self._runner = runner
        self._refuse_a_broken_head()

    def detect(
        self,
        images: Sequence[Rgb],
        *,
        min_score: float = DEFAULT_MIN_SCORE,
        templates: Sequence[Rgb | None] | None = None,
    ) -> list[list[DetectedRegion]]:
        started = time.perf_counter()
        fitted = [fit(image, self._side_px) for image in images]
        batches = [
            to_tensor([picture for picture, _ in fitted[at : at + self._batch]])
            for at in range(0, len(fitted), self._batch)
        ]
        prepared = time.perf_counter()
        tables = [table for batch in batches for table in self._run(batch)]
        inferred = time.perf_counter()
        regions = [
            to_regions(table, placed, min_score=min_score, class_names=self.class_names)
            for table, (_, placed) in zip(tables, fitted, strict=True)
        ]
        finished = time.perf_counter()
        self.last_timings = StageTimings(
            1000 * (prepared - started), 1000 * (inferred - prepared), 1000 * (finished - inferred)
        )
        return regions

    def _run(self, batch: Tensor) -> list[Tensor]:
        """One table a picture; a graph with a fixed batch gets its missing rows as zeros."""
        given = len(batch)
        if self._fixed_batch and given < self._fixed_batch:
            batch = np.concatenate([batch, np.zeros((self._fixed_batch - given, *batch.shape[1:]), np.float32)])
        return list(self._runner.run(batch)[:given])

    def _refuse_a_broken_head(self) -> None:
        """Shapes written in a file are claims; what a grey picture gives is a fact. Warms the runtime up too."""
        grey = np.full((self._side_px, self._side_px, 3), 127, np.uint8)
        table = self._run(to_tensor([grey]))[0]
        if table.ndim != 2 or table.shape[1] != 6 or not np.isfinite(table).all():
            raise BadModel(f"{self.name} answers {table.shape} for one picture, or numbers that are not finite")
        if table.size and (table[:, 4].min() < -1e-3 or table[:, 4].max() > 1 + 1e-3):
            raise BadModel(f"{self.name} gives scores outside 0..1: its fifth column is not a score")
