"""How a version's files travel to a node: it is asked whether it has them, else they come in pieces and are sealed.

They come over the channel that requests come over, to a node that need not reach anybody. The name of a version is the
digest of its files, so what arrives is believed for what it is and not for who sent it. Knows no network.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from scheduling.serving.contracts import ContractBroken

PIECE_BYTES: Final = 2**20
"""Of one message: short enough that a request behind it does not wait long on a slow link."""

MAX_VERSION_BYTES: Final = 2**30
"""Of all files of a version together."""

Act = Literal["ask", "piece", "seal"]
ACTS: Final = ("ask", "piece", "seal")


@dataclass(frozen=True, slots=True)
class BringStep:
    """One step. `upload` names the transfer, since two may be under way for one version; the rest is of a piece."""

    act: Act
    upload: str
    file: str = ""
    offset: int = 0


def encode_step(step: BringStep) -> bytes:
    return json.dumps(asdict(step)).encode()


def decode_step(text: bytes) -> BringStep:
    """Raises ContractBroken."""
    fields = _object(text)
    act, upload, file, offset = (fields.get(name) for name in ("act", "upload", "file", "offset"))
    if act not in ACTS or not isinstance(upload, str) or not upload.isalnum() or len(upload) > 40:
        raise ContractBroken("a step that brings a version names no act, or no transfer")
    if not isinstance(file, str) or not isinstance(offset, int) or not 0 <= offset < MAX_VERSION_BYTES:
        raise ContractBroken("a piece of a version has no place in a file")
    return BringStep(act, upload, file, offset)


def encode_state(*, has: bool) -> str:
    return json.dumps({"has": has})


def decode_state(text: bytes) -> bool:
    """Whether the node has the version now. Raises ContractBroken."""
    return _object(text).get("has") is True


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractBroken(f"a step that brings a version is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ContractBroken("a step that brings a version is no JSON object")
    return found
