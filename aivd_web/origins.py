"""Whether a page's Origin is ours: scheme, host and port, letter by letter. Knows no settings and no framework.

A browser writes an origin in one way only (RFC 6454, section 6.2): small letters, no port where it is the scheme's own,
no path. So the one that is ours is written in the same way and the two texts are compared; what looks different is
another one, and nothing has to be taken apart that a stranger has written.
"""

import re
from collections.abc import Collection

OWN_PORT = {"http": "80", "https": "443"}
HOST = re.compile(r"(?P<name>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


def origin_of(scheme: str, host: str) -> str | None:
    """The origin of a page that was asked for at `host` (name and port, as in the Host header); None if it is none."""
    found = HOST.fullmatch(host.lower())
    if found is None or scheme not in OWN_PORT:
        return None
    port = found["port"]
    if port is None or port == OWN_PORT[scheme]:
        return f"{scheme}://{found['name']}"
    return f"{scheme}://{found['name']}:{port}"


def is_origin(text: str) -> bool:
    """Whether `text` is an origin as browsers write it, with neither wildcard nor path."""
    scheme, mark, host = text.partition("://")
    return mark == "://" and origin_of(scheme, host) == text


def is_ours(origin: str, *, scheme: str, host: str, trusted: Collection[str]) -> bool:
    return bool(origin) and (origin == origin_of(scheme, host) or origin in trusted)
