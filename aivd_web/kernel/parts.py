"""What a process has one of, such as its decoder and its worker. The composition root says how each is made.

Whoever needs one asks for it by its class. It is made when it is first asked for, so that a process has only what it
uses; a test puts another in its place.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

from django.apps import apps

T = TypeVar("T")


class Parts:
    """One object of each class. Safe to use from many threads."""

    def __init__(self, makers: Mapping[type[Any], Callable[[], Any]]) -> None:
        self.made: dict[type[Any], Any] = {}
        self._makers = dict(makers)
        self._locks = {kind: threading.Lock() for kind in makers}

    def get(self, kind: type[T]) -> T:
        if kind not in self.made:
            with self._locks[kind]:  # of this kind alone: one part may need another, and one may be long to make
                if kind not in self.made:
                    self.made[kind] = self._makers[kind]()
        return cast(T, self.made[kind])


class Root(Protocol):
    """What the composition root's start leaves for everybody."""

    parts: Parts


def parts() -> Parts:
    """This process' own."""
    return cast(Root, apps.get_app_config("aivd_web")).parts


def part(kind: type[T]) -> T:
    """This process' own object of this class."""
    return parts().get(kind)
