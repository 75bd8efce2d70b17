"""Synthetic bare printed circuit boards with known defects, made from a seed; no third-party picture."""

from finetune.boards.contracts import (
    BOX_MARGIN_PX,
    CLASSES,
    CONTEXT_RATIO,
    FACTS,
    STYLES,
    Board,
    Defect,
    Picture,
)
from finetune.boards.generator import encode_jpeg, encode_png, generate_board

__all__ = [
    "BOX_MARGIN_PX",
    "CLASSES",
    "CONTEXT_RATIO",
    "FACTS",
    "STYLES",
    "Board",
    "Defect",
    "Picture",
    "encode_jpeg",
    "encode_png",
    "generate_board",
]
