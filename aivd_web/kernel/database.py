"""What a database's error means, and its clock. Knows no tables.

An error is either the database's (it is away, stopped, or somebody holds a lock: try again) or the data's (it cannot
hold or read this value: trying again changes nothing). Times that decide something are read here, because the clocks
of web and workers may differ by anything.
"""

from datetime import datetime

import psycopg
from django.db import DatabaseError, DataError, InterfaceError, OperationalError, connection
from django.db.models.expressions import Combinable

Moment = datetime | Combinable
"""A time, or an expression such as `Now()` that the database computes by its own clock."""

# The server ends a transaction that was left open, which it does not count among its operational errors.
ENDED_BY_SERVER = {"25P03", "25P04", "57P05"}
BUSY = {"55P03", "57014", "40001", "40P01"}  # a lock, a statement or a row was not free in time


def is_away(error: BaseException) -> bool:
    """Whether the same may succeed in a moment: nothing is wrong with what was asked."""
    if isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError | psycopg.InterfaceError):
        return True
    return isinstance(error, DatabaseError | psycopg.Error) and sqlstate(error) in ENDED_BY_SERVER


def is_busy(error: BaseException) -> bool:
    """Whether it was there, and something was not free within the time that we wait."""
    return sqlstate(error) in BUSY


def is_about_data(error: BaseException) -> bool:
    """Whether a value cannot be stored or read: NUL, half a surrogate, a text too long, a time of no year of ours."""
    return isinstance(error, DataError | UnicodeError | psycopg.DataError)


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's own code of the error, or nothing."""
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    return getattr(cause, "sqlstate", None) or ""


def database_now() -> datetime:
    """The time by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now
