"""Decisions as they were seen, kept whole, and decided again by another policy. Knows no database."""
