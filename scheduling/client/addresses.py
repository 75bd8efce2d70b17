"""Take nodes' addresses out of texts that nodes and gRPC wrote. Who manages the fleet reads the texts as they are."""

import re

PUT_INSTEAD = "(address)"
HOST = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
ADDRESS = re.compile(
    "|".join(
        (
            r"\b(?:ipv4|ipv6|dns|unix|tcp|http|https|grpcs?)(?::|%3A)/{0,3}[^\s,;\"'()]+",  # as gRPC writes its targets
            r"\[[0-9A-Fa-f:.%]*:[0-9A-Fa-f:.%\w]*\](?::\d{1,5})?",  # [::1]:8001
            r"(?<![\w.:])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4})*(?![\w:])",  # fe80::1, without brackets
            r"(?<![\w:])::(?:[0-9A-Fa-f]{1,4}:?)+(?![\w:])",  # ::1
            r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b",
            rf"\b{HOST}:\d{{2,5}}\b",  # a name with its port
            rf"(?<=resolution failed for ){HOST}",
        )
    )
)


def without_addresses(text: str) -> str:
    """`text` with whatever looks like a host, an address or a port taken out."""
    return ADDRESS.sub(PUT_INSTEAD, text)
