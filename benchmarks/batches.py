"""Whether a batch pays: what one picture costs a node of ours alone and in batches of 2, 4 and 8.

`python -m benchmarks.batches [--threads N] [--rounds N]`, with the shipped detector and describer. Every size has its
turn in every round, on pictures of its own, so that other load meets all alike; processor time is what it disturbs
least. The last line is JSON. What follows from it: docs/decisions/0030-batches.md.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

from finetune.boards import CLASSES, generate_board
from finetune.boards.contracts import Board
from scheduling.serving.contracts import Describer, Detector, RegionRequest
from scheduling.serving.crops import cut_crop
from scheduling.serving.describers import SMALL, load_describer
from scheduling.serving.detectors import load_detector

SIZES = (1, 2, 4, 8)
DETECTOR = "yolo-openvino"
WARM_UP = 2
FIRST_BOARD = 1 << 44  # boards that no training drew from
Call = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batches", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    boards = [generate_board(FIRST_BOARD + n, facts=False) for n in range(16)]
    detector = load_detector(DETECTOR, threads=options.threads)
    describer = load_describer(SMALL, threads=options.threads)
    line = {
        "detector": measure(lambda size, turn: partial(_detect, detector, _some(boards, size, turn)), options.rounds),
        "describer": measure(lambda size, turn: partial(_describe, describer, boards, size, turn), options.rounds),
        "threads": options.threads,
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(line))


def measure(call_of: Callable[[int, int], Call], rounds: int) -> dict[str, dict[str, float]]:
    """For each size the median milliseconds of a batch, and of processor time for each picture in it."""
    took: dict[int, list[tuple[float, float]]] = {size: [] for size in SIZES}
    turns = count()
    for number in range(rounds + WARM_UP):
        for size in SIZES:
            call = call_of(size, next(turns))
            took_one = _timed(call)
            if number >= WARM_UP:
                took[size].append(took_one)
    return {str(size): _figures(size, rows) for size, rows in took.items()}


def _timed(call: Call) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - processor)


def _figures(size: int, rows: Sequence[tuple[float, float]]) -> dict[str, float]:
    walls, processors = zip(*rows, strict=True)
    return {
        "batch_ms": round(statistics.median(walls), 1),
        "least_batch_ms": round(min(walls), 1),
        "cpu_ms_a_picture": round(statistics.median(processors) / size, 2),
    }


def _some(boards: Sequence[Board], size: int, turn: int) -> list[Board]:
    return [boards[(turn * 8 + n) % len(boards)] for n in range(size)]


def _detect(detector: Detector, boards: Sequence[Board]) -> Any:
    return detector.detect([board.image for board in boards], templates=[board.template for board in boards])


def _describe(describer: Describer, boards: Sequence[Board], size: int, turn: int) -> list[Any]:
    """A batch of crops that were not described before: what was written once is written faster again."""
    board = boards[turn % len(boards)]
    height, width = board.image.shape[:2]
    shift = float(turn // len(boards))
    boxes = [board.defects[n % len(board.defects)].box_xyxy for n in range(size)]
    moved = [(x0 + shift, y0 + shift, x1 + shift, y1 + shift) for x0, y0, x1, y1 in boxes]
    regions = [RegionRequest(str(n), box, "", 0.0) for n, box in enumerate(moved)]
    crops = [cut_crop(board.image, box) for box in moved]
    return list(
        describer.describe(
            crops, regions, class_names=CLASSES, frame_size_wh=(width, height), is_cancelled=lambda: False
        )
    )


if __name__ == "__main__":
    main()
