"""The little of Triton's Python backend that both models use: tensors, responses, refusals.

Importable only inside Triton's Python process, where `triton_python_backend_utils` exists.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils


def read_tensor(request: Any, name: str) -> npt.NDArray[Any]:
    """The tensor's values as one flat array; BYTES are Python `bytes`."""
    values: npt.NDArray[Any] = pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()
    return values


def text_parameter(request: Any, name: str) -> str:
    """The request's own parameter `name`, "" where it has none."""
    parameters: dict[str, Any] = json.loads(request.parameters() or "{}")
    return str(parameters.get(name, ""))


def flag(request: Any, name: str) -> bool:
    """Whether the request's parameter of this name is set and true."""
    return bool(json.loads(request.parameters() or "{}").get(name))


def respond(sender: Any, tensors: Mapping[str, npt.NDArray[Any]], *, last: bool) -> None:
    outputs = [pb_utils.Tensor(name, values) for name, values in tensors.items()]
    _send(sender, pb_utils.InferenceResponse(outputs), last=last)


def refuse(sender: Any, code: str, sentence: str) -> None:
    """End the request with an error that the client reads as one of the contract's codes."""
    fail(sender, f"{code}: {sentence}")


def fail(sender: Any, text: str) -> None:
    _send(sender, pb_utils.InferenceResponse(error=pb_utils.TritonError(text)), last=True)


def end(sender: Any) -> None:
    """End a stream without a further response."""
    sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def text_tensor(text: str, shape: tuple[int, ...]) -> npt.NDArray[np.object_]:
    return np.array([text.encode()], np.object_).reshape(shape)


def log_info(text: str) -> None:
    pb_utils.Logger.log_info(text)


def log_error(text: str) -> None:
    pb_utils.Logger.log_error(text)


def give_up(error: BaseException) -> None:
    """Without its queue's thread this process would take requests and never answer: end it, visibly."""
    log_error(f"the queue broke: {error!r}")
    os._exit(70)


def _send(sender: Any, response: Any, *, last: bool) -> None:
    if last:
        sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    else:
        sender.send(response)
