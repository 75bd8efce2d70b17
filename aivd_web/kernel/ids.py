"""Identifiers that sort by the time they were made."""

import os
import time
import uuid
from datetime import datetime


def uuid7() -> uuid.UUID:
    """A version 7 UUID (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (time.time_ns() // 1_000_000 & 0xFFFFFFFFFFFF) << 80 | random & 0xFFFFFFFFFFFFFFFFFFFF
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def first_at(moment: datetime) -> uuid.UUID:
    """The smallest version 7 UUID of this millisecond: what was made from then on has an id that is not smaller."""
    return uuid.UUID(int=(int(moment.timestamp() * 1000) & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | 0x2 << 62)
