"""How the tests are shared out where several workers run them; `make test` asks pytest-xdist for two.

Each worker starts services of its own (tests/settings.py). A file stays whole, because what its module starts is
started once. Those that bring up a whole installation stay together and come first: there is never more than one
installation at a time, and nobody waits for one at the end while the other worker has nothing left to do.
"""

from typing import Any

import pytest

INSTALLATIONS = (
    "tests/e2e/",
    "tests/benchmarks/test_chaos.py",
    "tests/benchmarks/test_schedule_real.py",
    "tests/demo/test_offline.py",
    "tests/inspections/intake/test_durable_short.py",
    "tests/launcher/test_whole_clone.py",
)


def group(nodeid: str) -> str:
    """The tests of one group run one after the other on one worker."""
    file = nodeid.partition("::")[0]
    return "installations" if file.startswith(INSTALLATIONS) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            if "installations" in self.workqueue:
                self.workqueue.move_to_end("installations", last=False)
            super()._assign_work_unit(node)

    return Groups(config, log)
