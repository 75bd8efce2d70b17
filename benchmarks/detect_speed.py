"""How long one 640 px frame takes: the shipped detectors, bare runtime loops, and ultralytics' `predict`.

All in one process on the same boards and threads, in turns, so that a busy moment hits everybody.
"""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from finetune.boards import CLASSES, generate_board
from finetune.training import ultralytics_import
from finetune.training.detector_export import load_network
from scheduling.serving.contracts import Rgb
from scheduling.serving.detectors import SHIPPED_INT8_WEIGHTS, SHIPPED_WEIGHTS, load_detector
from scheduling.serving.detectors.ir_file import read_ir_file
from scheduling.serving.detectors.model_file import ModelFile, read_model_file
from scheduling.serving.detectors.openvino_runner import open_runner
from scheduling.serving.preprocess import to_tensor

ROUNDS = 12
WARM_UP = 3
PAUSE_S = 0.05
"""Some runtimes' threads spin for a moment after an answer; the next one must not pay for it."""


def compare_speed(*, threads: int) -> dict[str, Any]:
    """Median and best milliseconds a frame of each, and how many times faster than `predict` each median is."""
    import torch

    torch.set_num_threads(threads)
    board = generate_board(640)
    names = ["yolo-openvino", "yolo-openvino-bf16", "yolo-onnxruntime"] + [
        "yolo-openvino-int8"
    ] * SHIPPED_INT8_WEIGHTS.is_file()
    served = {name: load_detector(name, threads=threads) for name in names}
    tensor = to_tensor([board.image])
    predict = _predict()
    contestants: dict[str, Callable[[], object]] = {
        name: partial(detector.detect, [board.image]) for name, detector in served.items()
    }
    for name, model in _shipped_models().items():
        contestants[f"bare_loop_{name}"] = partial(open_runner(model, threads=threads).run, tensor)
    contestants["with_template"] = lambda: served["yolo-openvino"].detect([board.image], templates=[board.template])
    contestants["ultralytics_predict"] = lambda: predict(board.image)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(ROUNDS + WARM_UP):
        for name, call in contestants.items():
            time.sleep(PAUSE_S)
            started = time.perf_counter()
            call()
            if turn >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - started))
    medians = {name: round(statistics.median(values), 1) for name, values in times.items()}
    best = {name: round(min(values), 1) for name, values in times.items()}
    predicted = medians["ultralytics_predict"]
    return {
        "threads": threads,
        "load_average": round(os.getloadavg()[0], 1),
        "median_ms": medians,
        "best_ms": best,
        "times_faster_than_predict": {name: round(predicted / ms, 2) for name, ms in medians.items()},
    }


def _shipped_models() -> dict[str, ModelFile]:
    models = {"fp32": read_model_file(SHIPPED_WEIGHTS)}
    if SHIPPED_INT8_WEIGHTS.is_file():
        models["int8"] = read_ir_file(SHIPPED_INT8_WEIGHTS)
    return models


def _predict() -> Callable[[Rgb], object]:
    network = load_network(SHIPPED_WEIGHTS.with_name("detector.safetensors"), len(CLASSES))
    ultralytics_import.ensure()
    from ultralytics.models import YOLO

    model: Any = YOLO("yolo26n.yaml")
    model.model = network
    model.model.names = dict(enumerate(CLASSES))
    return lambda picture: model.predict(picture[..., ::-1], imgsz=640, verbose=False, save=False, device="cpu")
