"""What a Node is asked to infer: values that know which call of its client they are.

A stage makes one, the dispatcher has it asked, of one Node after another where that must be. A kind of inference that
is new needs no change here: any value with `timeout_s` and `ask` will do, defined beside the stage that makes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from scheduling.client.answers import CONTRACT, DescribeAnswer, DetectAnswer, NodeAnswer, NodeError
from scheduling.client.triton import NodeClient
from scheduling.serving.contracts import DescribeRequest

A = TypeVar("A", bound=NodeAnswer, covariant=True)


class Inference(Protocol[A]):
    """A question to a Node, whole: what is sent, and how long one attempt may take."""

    @property
    def timeout_s(self) -> float: ...

    def ask(self, node: NodeClient, *, timeout_s: float) -> A:
        """The Node's answer; raises NodeError, at the latest `timeout_s` from now. May be asked again elsewhere."""
        ...


def version_of(inference: Inference[Any]) -> str:
    """The digest of the version that it wants to be answered by; "" for the Node's own model."""
    return str(getattr(inference, "version", ""))


@dataclass(frozen=True, slots=True)
class DetectInference:
    """Where are defects in this picture? `template` is the golden picture, b"" where there is none."""

    picture: bytes
    min_score: float
    timeout_s: float
    template: bytes = b""

    def ask(self, node: NodeClient, *, timeout_s: float) -> DetectAnswer:
        return node.detect(self.picture, template=self.template, min_score=self.min_score, timeout_s=timeout_s)


class TokenSink(Protocol):
    """Hears a describer's events while it writes."""

    def restart(self) -> None:
        """A new attempt begins: what an earlier one wrote no longer counts."""

    def heard(self, event: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class DescribeInference:
    """What are these regions? `idle_s` is the longest silence within the stream of tokens.

    `version` is the digest of the version that is to answer; "": the Node's own model.
    """

    crops: Sequence[bytes]
    request: DescribeRequest
    timeout_s: float
    idle_s: float
    tokens: TokenSink
    version: str = ""

    def ask(self, node: NodeClient, *, timeout_s: float) -> DescribeAnswer:
        self.tokens.restart()
        asked = node.version(self.version) if self.version else node
        answer = asked.describe(
            self.crops, self.request, timeout_s=timeout_s, idle_timeout_s=self.idle_s, on_event=self.tokens.heard
        )
        if not self.version:
            return answer
        if answer.done.digest != self.version:
            detail = f"Version {self.version[:12]} was asked for, and {answer.done.digest[:12]} answered."
            raise NodeError(CONTRACT, detail, node=node.name)
        return replace(answer, own=False)
