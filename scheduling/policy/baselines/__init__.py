"""The rules people use, each in a small file behind the same protocol as our own policy."""
