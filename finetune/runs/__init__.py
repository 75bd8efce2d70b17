"""Runs: the row that a worker claims, the trainer that it supervises, and what comes of it."""
