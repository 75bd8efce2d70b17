"""Who may use the detector next: in the order of asking, so that two queues take turns. Knows nothing of their work."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lock that goes to whoever asked first; Python's own may go to the same one for ever."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asked, self._served = 0, 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        with self._changed:
            ticket = self._asked
            self._asked += 1
            self._changed.wait_for(lambda: self._served == ticket)
        try:
            yield
        finally:
            with self._changed:
                self._served += 1
                self._changed.notify_all()
