"""`python -m finetune.boards sheet out.png` or `styles out.jpg` shows what is drawn; `speed` counts boards a second."""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from finetune.boards.contracts import STYLES
from finetune.boards.generator import encode_jpeg, encode_png, generate_board
from finetune.boards.sheet import boards_sheet, defects_sheet, styles_sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m finetune.boards", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sheet = commands.add_parser("sheet", help="write a contact sheet as PNG")
    sheet.add_argument("out", type=Path)
    sheet.add_argument("--seed", type=int, default=1)
    sheet.add_argument("--style", choices=STYLES)
    styles = commands.add_parser("styles", help="write two boards of each style with their templates as JPEG")
    styles.add_argument("out", type=Path)
    styles.add_argument("--seed", type=int, default=1)
    speed = commands.add_parser("speed", help="print boards a second on one thread")
    speed.add_argument("--boards", type=int, default=100)
    options = parser.parse_args()
    if options.command == "sheet":
        _write_sheet(options.out, options.seed, options.style)
    elif options.command == "styles":
        options.out.write_bytes(encode_jpeg(styles_sheet(options.seed), quality=72))
    else:
        _print_speed(options.boards)


def _write_sheet(out: Path, seed: int, style: str | None) -> None:
    boards, crops = boards_sheet(seed, style=style), defects_sheet(seed, style=style)
    wide = np.full((crops.shape[0], max(boards.shape[1] - crops.shape[1], 0), 3), 128, np.uint8)
    out.write_bytes(encode_png(np.vstack([boards, np.hstack([crops, wide])[:, : boards.shape[1]]])))


def _print_speed(boards: int) -> None:
    cv2.setNumThreads(1)
    generate_board(0)
    started = time.perf_counter()
    for seed in range(boards):
        generate_board(seed)
    print(f"{boards / (time.perf_counter() - started):.1f} boards a second on one thread")


if __name__ == "__main__":
    main()
