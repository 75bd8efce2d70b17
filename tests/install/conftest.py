"""The wheel and the environments, made once for the run."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.install.environments import Installed, build_wheel, install


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Installed]:
    """The environment of an extra."""

    @cache
    def environment(extra: str) -> Installed:
        return install(wheel, extra, tmp_path_factory.mktemp("installed") / extra)

    return environment
