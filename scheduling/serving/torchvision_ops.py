"""Give torchvision the two operators its wheel cannot load beside a CPU-only torch.

torchvision's wheel is built against a CUDA torch; beside a CPU one its C++ operators are missing and importing
it fails with "operator torchvision::nms does not exist". `ensure()` defines them in plain PyTorch, only where
the real ones are missing. It must run before the first import of torchvision; transformers imports it too.
"""

import contextlib
import importlib
import importlib.util
import threading
from pathlib import Path
from typing import Any

_lock = threading.Lock()
_libraries: list[Any] = []  # torch.library drops its definitions when the Library object dies


def ensure() -> None:
    """Make `import torchvision` and its `ops.nms` work.

    Cheap after the first call; does nothing where the real operators load.
    """
    import torch

    with _lock:
        if _libraries or _loads_real_operators(torch):
            return
        library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.impl("nms", nms, "CompositeExplicitAutograd")
        library.impl("qnms", nms, "CompositeExplicitAutograd")
        _libraries.append(library)
        extension: Any = importlib.import_module("torchvision.extension")
        extension._has_ops = lambda: True  # its guard asks for the C++ library, not for the operators


def _loads_real_operators(torch: Any) -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # nothing to repair
    for library in Path(spec.origin).parent.glob("_C*.so"):
        with contextlib.suppress(OSError, RuntimeError):
            torch.ops.load_library(str(library))
    return hasattr(torch.ops.torchvision, "nms")


def nms(dets: Any, scores: Any, iou_threshold: float) -> Any:
    """Indices of the boxes (n, 4) xyxy that survive greedy suppression, best score first."""
    import torch

    order = scores.argsort(descending=True, stable=True)
    area = (dets[:, 2] - dets[:, 0]) * (dets[:, 3] - dets[:, 1])
    kept = []
    while order.numel():
        best, rest = order[0], order[1:]
        kept.append(best)
        low = torch.maximum(dets[best, :2], dets[rest, :2])
        high = torch.minimum(dets[best, 2:], dets[rest, 2:])
        overlap = (high - low).clamp(min=0).prod(1)
        order = rest[overlap <= iou_threshold * (area[best] + area[rest] - overlap)]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.long, device=dets.device)
