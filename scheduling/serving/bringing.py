"""How a version's files travel to a node: it is asked whether it has them, else they come in pieces and are sealed.

They come over the channel that requests come over, to a node that need not reach anybody. The name of a version is the
digest of its files, so what arrives is believed for what it is and not for who sent it. Knows no network.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from scheduling.serving.wire import decode

PIECE_BYTES: Final = 2**17
"""Of one message: short enough that a request behind it does not wait long on a slow link."""

MAX_VERSION_BYTES: Final = 2**30
"""Of one file of a version."""


@dataclass(frozen=True, slots=True)
class BringStep:
    """One step. `upload` names the transfer, since two may be under way for one version; the rest is of a piece."""

    act: Literal["ask", "piece", "seal"]
    upload: Annotated[str, Meta(pattern="^[0-9a-z]{1,40}$")]
    file: Annotated[str, Meta(max_length=60)] = ""
    offset: Annotated[int, Meta(ge=0, lt=MAX_VERSION_BYTES)] = 0


@dataclass(frozen=True, slots=True)
class VersionState:
    """What the node answers to each step."""

    has: bool


def encode_step(step: BringStep) -> bytes:
    return msgspec.json.encode(step)


def decode_step(text: bytes) -> BringStep:
    """Raises ContractBroken."""
    return decode(text, BringStep, "step")


def encode_state(*, has: bool) -> str:
    return msgspec.json.encode(VersionState(has)).decode()


def decode_state(text: bytes) -> bool:
    """Whether the node has the version now. Raises ContractBroken."""
    return decode(text, VersionState, "state").has
