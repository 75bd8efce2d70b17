"""A node's options from its environment, and the models they name.

Test models, given as `python:package.module:Factory?key=value`, are loaded only where
AIVD_ALLOW_TEST_MODELS=1: elsewhere such a name would let whoever sets an option run any code.
"""

import contextlib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

from scheduling.serving.appearance import BadReference, TrainedOn, products_in
from scheduling.serving.backend.versions import RESIDENT
from scheduling.serving.contracts import (
    IDENTITY_LIMITS,
    STEP_BUDGET_S,
    Describer,
    Detector,
    class_names_fault,
    name_fault,
)
from scheduling.serving.describers.adapters import Adapter
from scheduling.serving.model_folder import RefusedFiles

DEFAULT_DETECTOR = "yolo-openvino-bf16"
DEFAULT_DESCRIBER = "aivd-small"
EXTRA_OF = {
    **dict.fromkeys(("openvino", "onnxruntime", "onnx", "httpx"), "node"),
    **dict.fromkeys(("torch", "tokenizers", "safetensors"), "describer"),
    **dict.fromkeys(("transformers", "torchvision"), "train"),
}
"""Which extra of ours brings a package that a model asks for; see pyproject.toml."""


class OptionError(ValueError):
    """An option that cannot be used; the text names the variable."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """`slowdown` multiplies the time of every answer. `step_budget_s`: see STEP_BUDGET_S of the contract.

    So many versions besides the node's own model stay in memory: `resident_versions`.
    `pause_file` stops a describer after `pause_after_tokens` tokens of a request for as long as that file exists, so
    that a test can look at the middle of a stream.
    """

    detector: str = DEFAULT_DETECTOR
    describer: str = DEFAULT_DESCRIBER
    detector_products: tuple[str, ...] = ()
    threads: int = 1
    slowdown: float = 1.0
    max_waiting: int = 64
    allow_test_models: bool = False
    pause_file: Path | None = None
    pause_after_tokens: int = 5
    step_budget_s: float = STEP_BUDGET_S
    resident_versions: int = RESIDENT

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "NodeOptions":
        allow = environment.get("AIVD_ALLOW_TEST_MODELS") == "1"
        pause = environment.get("AIVD_PAUSE_FILE") if allow else None
        return cls(
            detector=environment.get("AIVD_DETECTOR") or DEFAULT_DETECTOR,
            describer=environment.get("AIVD_DESCRIBER") or DEFAULT_DESCRIBER,
            detector_products=_products(environment),
            threads=_whole(environment, "AIVD_THREADS", 1),
            slowdown=_factor(environment, "AIVD_SLOWDOWN", 1.0),
            max_waiting=_whole(environment, "AIVD_MAX_WAITING", 64),
            allow_test_models=allow,
            pause_file=Path(pause) if pause else None,
            pause_after_tokens=_whole(environment, "AIVD_PAUSE_AFTER", 5),
            resident_versions=_whole(environment, "AIVD_RESIDENT_VERSIONS", RESIDENT),
            step_budget_s=_factor(environment, "AIVD_STEP_BUDGET_S", STEP_BUDGET_S),
        )


def open_detector(options: NodeOptions) -> Detector:
    if options.detector.startswith("python:"):
        detector = cast(Detector, _test_model(options.detector, options))
    else:
        registry = importlib.import_module("scheduling.serving.detectors")
        with _what_is_missing("AIVD_DETECTOR", options.detector):
            detector = cast(Detector, registry.load_detector(options.detector, threads=options.threads))
    _refuse_long_names("AIVD_DETECTOR", detector)
    if fault := class_names_fault(tuple(detector.class_names)):
        raise OptionError(f"AIVD_DETECTOR is {options.detector!r}, which cannot be served: {fault}")
    return detector


def open_trained_on(options: NodeOptions, detector: Detector) -> TrainedOn:
    """What the detector was trained on: AIVD_DETECTOR_PRODUCT, or the file beside it, or what it declares itself."""
    if options.detector.startswith("python:"):
        found = cast(TrainedOn, getattr(detector, "trained_on", TrainedOn()))
    else:
        found = importlib.import_module("scheduling.serving.detectors").trained_on(options.detector)
    products = options.detector_products or found.products or tuple(getattr(detector, "products", ()))
    return replace(found, products=products)


def open_describer(options: NodeOptions) -> Describer:
    if options.describer.startswith("python:"):
        describer = cast(Describer, _test_model(options.describer, options))
    else:
        registry = importlib.import_module("scheduling.serving.describers")
        with _what_is_missing("AIVD_DESCRIBER", options.describer):
            describer = cast(Describer, registry.load_describer(options.describer, threads=options.threads))
    _refuse_long_names("AIVD_DESCRIBER", describer)
    return describer


def open_adapted(own: Describer) -> Callable[[Adapter], Describer]:
    """What opens a version over the node's own model."""

    def adapted(adapter: Adapter) -> Describer:
        make: Callable[[Adapter], Describer] | None = getattr(own, "adapted", None)
        if make is None:
            raise RefusedFiles(f"this node serves {own.name}, which takes no adapters")
        return make(adapter)

    return adapted


@contextlib.contextmanager
def _what_is_missing(variable: str, asked: str) -> Iterator[None]:
    """A node installed for detection has no torch, and none but a training one has transformers."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF:
            raise
        raise OptionError(
            f"{variable} is {asked!r}, which needs {package}; it is not installed: "
            f"pip install 'aivd[{EXTRA_OF[package]}]'"
        ) from error


def _refuse_long_names(variable: str, model: Detector | Describer) -> None:
    """What a model calls itself is stored with every answer: one that cannot be is refused before it answers."""
    said = {"model": model.name, "version": model.version, "runtime": model.runtime}
    for what, text in said.items():
        if fault := name_fault(text, IDENTITY_LIMITS[what]):
            raise OptionError(f"{variable}: the {what} {text[:60]!r} {fault}")


def refuse_numpy_2(environment: Mapping[str, str]) -> None:
    """Triton 2.51, the wheel's, silently corrupts tensors under numpy 2. NVIDIA's container, which names its
    version in the environment, brings a numpy that fits it."""
    version = importlib.metadata.version("numpy")
    if int(version.split(".")[0]) >= 2 and "NVIDIA_TRITON_SERVER_VERSION" not in environment:
        raise OptionError(f"numpy {version} is installed on this node; its Triton needs numpy 1.26")


def _test_model(spec: str, options: NodeOptions) -> Any:
    if not options.allow_test_models:
        raise OptionError(f"{spec!r} is a test model; set AIVD_ALLOW_TEST_MODELS=1 where tests run")
    path, _, query = spec.removeprefix("python:").partition("?")
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)(**dict(parse_qsl(query)))


def _products(environment: Mapping[str, str]) -> tuple[str, ...]:
    names = [name.strip() for name in environment.get("AIVD_DETECTOR_PRODUCT", "").split(",") if name.strip()]
    try:
        return products_in(names) if names else ()
    except BadReference as error:
        raise OptionError(f"AIVD_DETECTOR_PRODUCT: {error}") from error


def _whole(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"{name} is {text!r}, expected a whole number of at least 1")
    return int(text)


def _factor(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.0 <= value <= 1000.0:
        raise OptionError(f"{name} is {text!r}, expected a factor of 1.0 to 1000")
    return value
