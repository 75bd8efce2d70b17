"""Formats in which the field keeps labelled pictures, read and written. Pure: knows no Django and opens no picture."""

from .registry import FORMATS, Format

__all__ = ["FORMATS", "Format"]
