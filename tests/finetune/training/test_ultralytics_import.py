"""ultralytics replaces functions of other libraries when it is imported; nobody else may notice."""

import subprocess
import sys

import pytest

USES = {
    "network": "from finetune.training.detector_network import build_network; build_network(2)",
    "optimiser": """
import torch
from finetune.training.detector_optimiser import Muon
weight = torch.nn.Parameter(torch.ones(4, 4, 1, 1))
weight.grad = torch.ones_like(weight)
Muon([weight], lr=0.1, weight_decay=0.0).step()
""",
}
CHECK = """
import sys, torch
from PIL import Image
before = (Image.open, torch.save, torch.load)
{use}
assert "ultralytics" in sys.modules, "the use imported nothing"
assert before == (Image.open, torch.save, torch.load), "a library's function was replaced"
"""


@pytest.mark.parametrize("use", USES)
def test_whoever_imports_it_leaves_other_libraries_as_they_were(use: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(use=USES[use])], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
