"""Write down what the shipped detector was trained on: its product, and how its training boards look as a whole.

    python -m finetune.training ship-appearance [--count 500] [--seed N]

Boards are generated from a fixed seed by the generator that the detector's recipe uses, so the file can be made again.
"""

import argparse
import json
from pathlib import Path

from finetune.boards import generate_board
from scheduling.serving.appearance import measure, training_reference
from scheduling.serving.contracts import SHIPPED_PRODUCT
from scheduling.serving.detectors import SHIPPED_TRAINED_ON

COUNT, SEED = 500, 900_000


def ship(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m finetune.training ship-appearance", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="boards to measure")
    parser.add_argument("--seed", type=int, default=SEED, help="of the first board")
    parser.add_argument("--out", type=Path, default=SHIPPED_TRAINED_ON)
    options = parser.parse_args(argv)
    write(options.out, count=options.count, seed=options.seed)
    print(json.dumps({"boards": options.count, "seed": options.seed, "bytes": options.out.stat().st_size}))


def write(out: Path, *, count: int, seed: int) -> None:
    reference = training_reference([measure(generate_board(seed + i, facts=False).image) for i in range(count)])
    told = {"products": [SHIPPED_PRODUCT], "made_from": {"boards": count, "seed": seed}}
    out.write_text(json.dumps(told | reference.as_json(), separators=(",", ":")) + "\n")
