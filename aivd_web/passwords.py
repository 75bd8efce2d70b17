"""Check a password, at a bounded cost: how often, how many at once, how long a text.

One argon2 takes some 100 MB and a tenth of a second, so anybody who may ask for one may ask for forty. At most
`AT_ONCE` are worked out at a time in a process; who comes next waits a little, and beyond that is told to come again.
Whatever asks for one takes a place first: this backend before it looks for the account (who waits holds no database
connection), and the hasher itself, for the admin's forms and whatever else sets or checks a password.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connections
from django.http import HttpRequest

from aivd_web.attempts import Attempts
from aivd_web.kernel.errors import AivdError
from aivd_web.kernel.parts import part

AT_ONCE = 2
WAITING = 16
WAIT_S = 3.0
MOST_LETTERS = 256


class TooBusy(AivdError):
    code = "overloaded"
    status = 503
    hint = "Nothing is wrong with your password. Try again in a moment."


class Places:
    """`at_once` at a time, `waiting` more in line for at most `wait_s`. A thread that has a place needs no second."""

    def __init__(self, *, at_once: int = AT_ONCE, waiting: int = WAITING, wait_s: float = WAIT_S) -> None:
        self.wait_s = wait_s
        self._free = threading.BoundedSemaphore(at_once)
        self._line = threading.BoundedSemaphore(at_once + waiting)
        self._mine = threading.local()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises TooBusy when the line is full or no place comes free in time."""
        if getattr(self._mine, "held", False):
            yield
            return
        if not self._line.acquire(blocking=False):
            raise self._too_busy()
        try:
            with self._waited_for():
                yield
        finally:
            self._line.release()

    @contextmanager
    def _waited_for(self) -> Iterator[None]:
        if not self._free.acquire(timeout=self.wait_s):
            raise self._too_busy()
        self._mine.held = True
        try:
            yield
        finally:
            self._mine.held = False
            self._free.release()

    def _too_busy(self) -> TooBusy:
        return TooBusy("Too many people sign in at this moment.", retry_after_s=2)


class BoundedArgon2(Argon2PasswordHasher):
    """Argon2 as Django has it, in one of the places."""

    def encode(self, password: str, salt: str) -> str:
        with part(Places).place():
            return str(super().encode(password, salt))

    def verify(self, password: str, encoded: str) -> bool:
        with part(Places).place():
            return bool(super().verify(password, encoded))

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Argon2 has nothing to even out."""


class BoundedBackend(ModelBackend):
    """Django's accounts. Asks first whether it is too early to try again; says the same, as late, of any account."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Raises TooManyAttempts or TooBusy, which become a page with Retry-After."""
        if username is None or password is None:
            return None
        address = address_of(request) if request else ""
        attempts = part(Attempts)
        attempts.check(username, address)
        _release_connections()
        with part(Places).place():
            attempts.check(username, address)  # others may have failed while this one waited
            # One that is too long is nobody's: it costs as much as any other, cut, and never signs anybody in.
            user = super().authenticate(request, username=username, password=password[:MOST_LETTERS], **kwargs)
            user = user if len(password) <= MOST_LETTERS else None
            (attempts.failed if user is None else attempts.succeeded)(username, address)
        return user


def address_of(request: HttpRequest) -> str:
    """Where the request comes from. Behind our TLS proxy that is what the proxy itself has added, the last one."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.BEHIND_TLS else ""
    return forwarded.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", ""))


class MaximumLengthValidator:
    """Nobody gets a password that is too long to sign in with."""

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) > MOST_LETTERS:
            raise ValidationError(f"This password is too long. It may have {MOST_LETTERS} letters.", code="too_long")

    def get_help_text(self) -> str:
        return f"Your password may have at most {MOST_LETTERS} letters."


def _release_connections() -> None:
    """Nobody holds a connection of the pool while waiting in line."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
