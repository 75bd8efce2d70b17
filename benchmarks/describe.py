"""Time the shipped describer against `model.generate` of the same weights, in one run on the same crops.

`python -m benchmarks.describe --threads 1 2 --crops 16`. Both write the same number of tokens: `generate` is given
the length of our own longest answer. Prints one JSON line a thread count: crops a second, first token, whole answer,
and the ratio of processor time, which other load on the machine disturbs least.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finetune.boards import CLASSES, generate_board
from scheduling.serving import torchvision_ops
from scheduling.serving.contracts import AnswerEvent, RegionRequest, Rgb
from scheduling.serving.crops import cut_crop, letterbox
from scheduling.serving.describers import SMALL, SMALL_FOLDER, load_describer
from scheduling.serving.describers.small import SmallDescriber

WARMUP_ROUNDS = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.describe", description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--crops", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    for threads in options.threads:
        print(json.dumps(measure(threads=threads, count=options.crops, repeats=options.repeats)), flush=True)


def measure(*, threads: int, count: int, repeats: int) -> dict[str, Any]:
    """Medians of `repeats` interleaved rounds, so that other load on the machine meets both alike.

    Each round has crops of its own: ours goes faster where it has written the like before, as it has in service, but
    must not have written these very answers.
    """
    describer = load_describer(SMALL, threads=threads)
    if not isinstance(describer, SmallDescriber):
        raise TypeError(f"{SMALL} is a {type(describer).__name__}")
    rounds = _rounds(count, repeats + WARMUP_ROUNDS)
    reference = _Reference(SMALL_FOLDER, describer)
    for crops in rounds[:WARMUP_ROUNDS]:
        length = _ours(describer, crops)[2]
    _theirs(reference, crops, length)
    rows, lengths, cpu_s = [], [], [0.0, 0.0, 0.0, 0.0]
    for crops in rounds[WARMUP_ROUNDS:]:
        before = time.process_time()
        first_s, all_s, length = _ours(describer, crops[:count])
        cpu_s[0] += time.process_time() - before
        before = time.process_time()
        _, one_s, one_length = _ours(describer, crops[count:])
        cpu_s[2] += time.process_time() - before
        before = time.process_time()
        reference_s = _theirs(reference, crops[:count], length)
        cpu_s[1] += time.process_time() - before
        before = time.process_time()
        reference_one_s = _theirs(reference, crops[count:], one_length)
        cpu_s[3] += time.process_time() - before
        reference_first_s = _theirs(reference, crops[:count], 1)
        rows.append((first_s, all_s, one_s, reference_first_s, reference_s, reference_one_s))
        lengths.append(length)
    first_s, all_s, one_s, reference_first_s, reference_s, reference_one_s = map(
        statistics.median, zip(*rows, strict=True)
    )
    return {
        "threads": threads,
        "crops": count,
        "tokens": statistics.median(lengths),
        "crops_per_s": round(count / all_s, 1),
        "generate_crops_per_s": round(count / reference_s, 1),
        "times_generate": round(reference_s / all_s, 2),
        "cpu_ms_per_crop": round(1000 * cpu_s[0] / repeats / count, 2),
        "times_generate_cpu": round(cpu_s[1] / cpu_s[0], 2),
        "first_token_ms": round(first_s * 1000, 1),
        "generate_first_token_ms": round(reference_first_s * 1000, 1),
        "one_crop_ms": round(one_s * 1000, 1),
        "generate_one_crop_ms": round(reference_one_s * 1000, 1),
        "one_crop_times_generate": round(reference_one_s / one_s, 2),
        "one_crop_times_generate_cpu": round(cpu_s[3] / cpu_s[2], 2),
    }


class _Reference:
    """The same weights in transformers' own class."""

    def __init__(self, folder: Path, describer: SmallDescriber) -> None:
        torchvision_ops.ensure()
        from transformers import Qwen2VLForConditionalGeneration

        model: Any = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        self.model = model.eval()
        self.layout = describer.shape.layout
        self.prefix = describer.tokens.prefix(self.layout.image_tokens)
        self.image_id, self.pad_id = describer.tokens.image_id, describer.tokens.pad_id


@torch.inference_mode()
def _theirs(reference: _Reference, crops: Sequence[Rgb], tokens: int) -> float:
    def run() -> None:
        squares = np.stack([letterbox(crop, reference.layout.side_px) for crop in crops])
        patches = reference.layout.patches(squares)
        ids = torch.tensor([reference.prefix] * len(crops))
        grid = reference.layout.grid
        reference.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=patches.reshape(-1, patches.shape[-1]),
            image_grid_thw=torch.tensor([[1, grid, grid]] * len(crops)),
            mm_token_type_ids=(ids == reference.image_id).int(),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=reference.pad_id,
        )

    return _seconds(run)


def _ours(describer: SmallDescriber, crops: Sequence[Rgb]) -> tuple[float, float, int]:
    """Seconds to the first piece of text and to the last answer, and the longest answer's tokens."""
    regions = [RegionRequest(str(number), (0, 0, 32, 32), "", 0) for number in range(len(crops))]
    started, first_s, longest = time.perf_counter(), 0.0, 0
    for event in describer.describe(
        crops, regions, class_names=CLASSES, frame_size_wh=(640, 640), is_cancelled=lambda: False
    ):
        first_s = first_s or time.perf_counter() - started
        if isinstance(event, AnswerEvent):
            longest = max(longest, event.tokens)
    return first_s, time.perf_counter() - started, longest


def _rounds(count: int, rounds: int) -> list[list[Rgb]]:
    """For each round `count` crops for the batch and one more to be described alone."""
    found: list[Rgb] = []
    seed = 7_000_000
    while len(found) < (count + 1) * rounds:
        board = generate_board(seed)
        found += [cut_crop(board.image, defect.box_xyxy) for defect in board.defects]
        seed += 1
    return [found[n * (count + 1) : (n + 1) * (count + 1)] for n in range(rounds)]


def _seconds(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
