"""Which ports and nodes this installation has, from environment variables alone.

Read by the launcher, which starts the embedded nodes, and by Django's settings, which know nodes by their
addresses only. It knows no Django and opens no port.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
EVERY_ADDRESS = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104
NODE_KINDS = ("edge", "cloud")
EMBEDDED_PORTS = 11
NODE = re.compile(r"([a-z0-9][a-z0-9-]{0,31})=([a-z]+)@((?:grpcs://)?)(\[[0-9a-fA-F:]+\]|[^:/@=\s]+):(\d{1,5})")


class AddressError(ValueError):
    """An environment variable that names a port or a node is not usable; the text shows a right one."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node as its clients see it: `grpc_url` is `host:port`, behind the link where there is one, or by TLS
    `grpcs://host:port`."""

    name: str
    kind: str
    grpc_url: str


@dataclass(frozen=True, slots=True)
class EmbeddedNode:
    """A node that the launcher starts itself. Where it has a link, `link_port` is the proxied way to it."""

    name: str
    kind: str
    http_port: int
    grpc_port: int
    metrics_port: int
    link_port: int | None = None
    link_control_port: int | None = None
    link_delay_ms: int = 0

    @property
    def address(self) -> NodeAddress:
        return NodeAddress(self.name, self.kind, f"{LOOPBACK}:{self.link_port or self.grpc_port}")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the web listens, and the nodes: either all embedded or all from outside."""

    host: str
    port: int
    embedded: tuple[EmbeddedNode, ...]
    nodes: tuple[NodeAddress, ...]

    @property
    def node_list(self) -> str:
        """The nodes as AIVD_NODES would name them."""
        return ",".join(f"{node.name}={node.kind}@{node.grpc_url}" for node in self.nodes)

    @property
    def local_host(self) -> str:
        """Where this machine itself reaches the web: loopback, where it listens on every address."""
        return EVERY_ADDRESS.get(self.host, self.host)

    @property
    def web_url(self) -> str:
        host = f"[{self.local_host}]" if ":" in self.local_host else self.local_host
        return f"http://{host}:{self.port}"


def addresses_from(environ: Mapping[str, str]) -> Addresses:
    """Read AIVD_HOST, AIVD_PORT, AIVD_NODE_PORT_BASE and AIVD_NODES; raises AddressError."""
    base = _port(environ, "AIVD_NODE_PORT_BASE", 8100)
    given = environ.get("AIVD_NODES", "").strip()
    port = _port(environ, "AIVD_PORT", 8000)
    embedded = () if given else embedded_nodes(base)
    if embedded:
        _check_apart(port, base)
    return Addresses(
        host=_host(environ),
        port=port,
        embedded=embedded,
        nodes=parse_nodes(given) if given else tuple(node.address for node in embedded),
    )


def embedded_nodes(base: int) -> tuple[EmbeddedNode, ...]:
    """Two edge nodes, and a cloud node that is 40 ms away; eleven ports from `base` on."""
    return (
        EmbeddedNode("edge-1", "edge", base, base + 1, base + 2),
        EmbeddedNode("edge-2", "edge", base + 3, base + 4, base + 5),
        EmbeddedNode(
            "cloud-1",
            "cloud",
            base + 6,
            base + 7,
            base + 8,
            link_port=base + 9,
            link_control_port=base + 10,
            link_delay_ms=40,
        ),
    )


def parse_nodes(text: str) -> tuple[NodeAddress, ...]:
    """Read `name=kind@host:port,...`, or `name=kind@grpcs://host:port` for TLS; names are unique, kinds edge and cloud.

    The only reader of AIVD_NODES. Raises AddressError.
    """
    nodes = tuple(_parse_node(part.strip()) for part in text.split(",") if part.strip())
    names = [node.name for node in nodes]
    if len(set(names)) < len(names):
        raise AddressError(f"AIVD_NODES names a node twice: {text!r}.")
    return nodes


def current() -> Addresses:
    """The addresses of this process."""
    return addresses_from(os.environ)


def _parse_node(part: str) -> NodeAddress:
    found = NODE.fullmatch(part)
    if found is None or found[2] not in NODE_KINDS or not 0 < int(found[5]) < 65536:
        raise AddressError(
            f"AIVD_NODES holds {part!r}; write name=kind@host:port with kind edge or cloud, "
            "for example edge-1=edge@10.0.0.5:8001,cloud-1=cloud@grpcs://10.0.1.9:8001 (grpcs:// where it speaks TLS)."
        )
    return NodeAddress(found[1], found[2], f"{found[3]}{found[4]}:{found[5]}")


def _check_apart(port: int, base: int) -> None:
    last = base + EMBEDDED_PORTS - 1
    if last > 65535:
        raise AddressError(f"AIVD_NODE_PORT_BASE={base} leaves no room for {EMBEDDED_PORTS} ports; choose a lower one.")
    if base <= port <= last:
        raise AddressError(
            f"AIVD_PORT={port} lies among the nodes' ports {base} to {last}; "
            "choose another, or move the nodes with AIVD_NODE_PORT_BASE."
        )


def _host(environ: Mapping[str, str]) -> str:
    """An address or a name; IPv6 may stand in brackets, as in a URL."""
    text = (environ.get("AIVD_HOST") or LOOPBACK).strip()
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        if bare == text and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", text):
            return text
    raise AddressError(f"AIVD_HOST={text!r} is no address or name; for example 127.0.0.1, [::1] or 0.0.0.0.")


def _port(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise AddressError(f"{variable}={text!r} is not a port; choose a number from 1 to 65535.")
    return int(text)
