"""What Triton loads: it finds the project and hands over to `scheduling.serving.backend.edge_detector`.

Triton runs this file from its own folder and ignores PYTHONPATH. AIVD_HOME names the project's folder where
this repository was mounted alone; otherwise it is the folder that holds it.
"""

import os
import sys
from pathlib import Path

_HOME = os.environ.get("AIVD_HOME") or str(Path(__file__).resolve().parents[5])
if _HOME not in sys.path:
    sys.path.insert(0, _HOME)

from scheduling.serving.backend.edge_detector import TritonPythonModel  # noqa: E402

__all__ = ["TritonPythonModel"]
