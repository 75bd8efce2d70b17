"""What a served model looks like from outside, as Triton names it, and how one departs from that."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduling.serving.contracts.limits import MAX_BATCH

CONTRACT_VERSION = "1"
"""Goes up when a tensor or a JSON field changes its meaning; node and client must agree on it."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor as Triton's metadata names it, without the batch dimension; -1 is any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelContract:
    """What a served model must look like from outside. `max_batch_size` 0 means no batch dimension."""

    model: str
    max_batch_size: int
    decoupled: bool
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


EDGE_DETECTOR = ModelContract(
    model="edge_detector",
    max_batch_size=MAX_BATCH,
    decoupled=False,
    inputs=(
        TensorSpec("frame", "BYTES", (1,)),  # an encoded JPEG or PNG
        TensorSpec("template", "BYTES", (1,)),  # the golden picture, encoded; b"" is none
        TensorSpec("min_score", "FP32", (1,)),
    ),
    outputs=(
        TensorSpec("boxes", "FP32", (-1, 4)),
        TensorSpec("scores", "FP32", (-1,)),
        TensorSpec("classes", "INT32", (-1,)),
        TensorSpec("meta", "BYTES", (1,)),  # DetectMeta
    ),
)
"""One frame a request; the node batches requests. `boxes`, `scores` and `classes` have one row a region."""

DESCRIBER = ModelContract(
    model="describer",
    max_batch_size=0,
    decoupled=True,
    inputs=(
        TensorSpec("crops", "BYTES", (-1,)),  # encoded context crops
        TensorSpec("request", "BYTES", (1,)),  # DescribeRequest
    ),
    outputs=(TensorSpec("event", "BYTES", (1,)),),  # one DescribeEvent a response
)

MODELS: dict[str, ModelContract] = {contract.model: contract for contract in (EDGE_DETECTOR, DESCRIBER)}


def differences(contract: ModelContract, config: Mapping[str, Any]) -> tuple[str, ...]:
    """How a node's model configuration departs from the contract, one sentence each; empty when it fits.

    `config` is Triton's model configuration as JSON: `max_batch_size`, `input` and `output` with `name`,
    `data_type` ("TYPE_FP32") and `dims`, and `model_transaction_policy.decoupled`.
    """
    found = []
    batch = int(config.get("max_batch_size", 0))
    if (batch > 0) != (contract.max_batch_size > 0):
        found.append(f"max_batch_size is {batch}, expected {contract.max_batch_size}")
    decoupled = bool(config.get("model_transaction_policy", {}).get("decoupled", False))
    if decoupled != contract.decoupled:
        found.append(f"decoupled is {decoupled}, expected {contract.decoupled}")
    for kind, expected in (("input", contract.inputs), ("output", contract.outputs)):
        found += _tensor_differences(kind, expected, config.get(kind, ()))
    return tuple(found)


def _tensor_differences(
    kind: str, expected: Sequence[TensorSpec], actual: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    specs = {str(tensor.get("name")): _spec_from_config(tensor) for tensor in actual}
    for spec in expected:
        found = specs.pop(spec.name, None)
        if found is None:
            yield f"{kind} {spec.name} is missing"
        elif found != spec:
            yield f"{kind} {spec.name} is {_words(found)}, expected {_words(spec)}"
    if kind == "input":  # an output nobody reads is harmless, an input nobody fills is not
        yield from (f"input {name} is not in the contract" for name in specs)


def _spec_from_config(tensor: Mapping[str, Any]) -> TensorSpec:
    datatype = str(tensor.get("data_type", "")).removeprefix("TYPE_").replace("STRING", "BYTES")
    return TensorSpec(str(tensor.get("name")), datatype, tuple(int(n) for n in tensor.get("dims", ())))


def _words(spec: TensorSpec) -> str:
    return f"{spec.datatype} {list(spec.shape)}"
