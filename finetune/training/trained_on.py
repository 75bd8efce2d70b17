"""Write what the shipped detector was trained on: its product, and how generated boards look as a whole.

`python -m finetune.training trained-on`; the same boards for the same seed. Knows the boards and the statistics.
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from finetune.boards import generate_board
from scheduling.serving.appearance import measure, training_reference
from scheduling.serving.contracts import SHIPPED_PRODUCT
from scheduling.serving.detectors import SHIPPED_TRAINED_ON

SEED: Final = 7_000_000
BOARDS: Final = 400


def trained_on(*, seed: int, boards: int) -> dict[str, Any]:
    """The content of `trained-on.json`."""
    measured = [measure(generate_board(seed + index, facts=False).image) for index in range(boards)]
    about = {"products": [SHIPPED_PRODUCT], "seed": seed, "boards": boards}
    return about | training_reference(measured).as_json()


def write(path: Path, content: dict[str, Any]) -> None:
    """One line for each frame, so that a change can be read."""
    frames = ",\n".join(f"  {json.dumps(row)}" for row in content["frames"])
    rest = json.dumps({key: value for key, value in content.items() if key != "frames"}, indent=1)
    path.write_text(f'{rest[:-2]},\n "frames": [\n{frames}\n ]\n}}\n')


def main(argv: list[str]) -> None:
    """`trained-on [--seed N] [--boards N] [--out FILE]`"""
    parser = argparse.ArgumentParser(prog="python -m finetune.training trained-on", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--boards", type=int, default=BOARDS)
    parser.add_argument("--out", type=Path, default=SHIPPED_TRAINED_ON)
    options = parser.parse_args(argv)
    write(options.out, trained_on(seed=options.seed, boards=options.boards))
    print(options.out)
