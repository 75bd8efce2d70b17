"""Bring a version to a node: where it does not have it, its files go in pieces and are sealed. Knows no gRPC."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from scheduling.serving.bringing import PIECE_BYTES, BringStep

Say = Callable[[BringStep, bytes], bool]
"""Takes one step to the node, with its piece; whether the node has the version now. Raises NodeError."""


def bring(say: Say, files: Mapping[str, Path]) -> int:
    """Bytes that were sent; 0 where the node had the version. Raises what `say` raises, and OSError."""
    upload, sent = uuid.uuid4().hex, 0
    if say(BringStep("ask", upload), b""):
        return 0
    for name, path in files.items():
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                say(BringStep("piece", upload, name, file.tell() - len(piece)), piece)
                sent += len(piece)
    say(BringStep("seal", upload), b"")
    return sent
