"""Text that came from elsewhere, made fit to be kept. Knows no database."""


def storable(text: str, *, most: int) -> str:
    """`text` as PostgreSQL can hold it: NUL and halves of surrogates become marks, and what is too long is cut."""
    return text[:most].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
