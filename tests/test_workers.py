"""How tests are shared out among workers."""

from pathlib import Path

import pytest

from tests.workers import INSTALLATIONS, group

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("path", INSTALLATIONS)
def test_what_must_stay_together_is_where_it_is_said_to_be(path: str) -> None:
    assert (ROOT / path).exists()
    assert group(f"{path}::test_a") == group(f"{INSTALLATIONS[0]}test_b.py::test_c[::x]") == "installations"


def test_every_other_file_goes_by_itself() -> None:
    assert group("tests/test_a.py::test_b[x::y]") == "tests/test_a.py"
