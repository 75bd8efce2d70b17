"""Bring the whole platform up on one machine: databases, nodes, web and workers. Knows no Django."""
