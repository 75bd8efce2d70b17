"""`aivd-node`: run one node in front, from the environment that AIVD was installed into. Knows no Django.

It lays the node's folder out and then becomes `tritonserver`: whatever supervises this process supervises the node.
"""

import argparse
import ctypes
import os
import re
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from scheduling.serving.contracts import DESCRIBER, EDGE_DETECTOR
from scheduling.serving.nodes import LOOPBACK, NodeSetupError, NodeSpec, ServerTls, node_command, prepare_node

MODELS = {"edge": (EDGE_DETECTOR.model,), "cloud": (DESCRIBER.model,)}
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]+")


def main(arguments: Sequence[str] | None = None) -> None:
    """Does not return: it becomes the node, or ends with the sentence that says what is missing."""
    given = _parser().parse_args(arguments)
    try:
        folder = _plain(Path(given.folder).absolute())
        _refuse_without_libpython()
        spec = _spec(given)
        folder.mkdir(parents=True, exist_ok=True)
        prepare_node(spec, layout_dir=folder)
        argv, environment = node_command(spec, layout_dir=folder)
    except (NodeSetupError, ValueError) as error:
        sys.exit(f"The node cannot start. {error}")
    print(f"Node {spec.name} will answer at {spec.grpc_url}", flush=True)
    os.chdir("/")
    os.execve(argv[0], argv, environment)  # noqa: S606  (no shell is wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aivd-node", description="Run one node until it is told to stop.")
    parser.add_argument("kind", choices=sorted(MODELS), help="an edge node detects, a cloud node describes")
    parser.add_argument("--name", help="as AIVD_NODES calls it; default: edge-1 or cloud-1")
    parser.add_argument("--address", default=LOOPBACK, help="where it listens; beyond loopback only with all --tls-…")
    parser.add_argument("--port", type=int, default=8001, help="of gRPC; the next two are for health and metrics")
    parser.add_argument("--threads", type=int, default=1, help="cores for one inference")
    parser.add_argument(
        "--folder", default=Path(os.environ.get("AIVD_VAR") or "var") / "nodes", help="what it may write"
    )
    parser.add_argument("--tls-certificate", type=Path, metavar="PEM", help="what the node shows its clients")
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="the key of that certificate")
    parser.add_argument("--tls-clients-root", type=Path, metavar="PEM", help="whose certificates clients must show")
    return parser


def _spec(given: argparse.Namespace) -> NodeSpec:
    """Which detector or describer it serves, AIVD_DETECTOR and AIVD_DESCRIBER say, as everywhere."""
    return NodeSpec(
        name=given.name or f"{given.kind}-1",
        models=MODELS[given.kind],
        address=given.address,
        grpc_port=given.port,
        http_port=given.port + 1,
        metrics_port=given.port + 2,
        threads=given.threads,
        tls=_tls(given.tls_certificate, given.tls_key, given.tls_clients_root),
    )


def _tls(certificate: Path | None, key: Path | None, clients_root: Path | None) -> ServerTls | None:
    if certificate is None and key is None and clients_root is None:
        return None
    if certificate is None or key is None:
        raise NodeSetupError("TLS needs both --tls-certificate and --tls-key.")
    return ServerTls(certificate.absolute(), key.absolute(), clients_root.absolute() if clients_root else None)


def _plain(folder: Path) -> Path:
    if not PLAIN_PATH.fullmatch(str(folder)):
        raise NodeSetupError(
            f"Triton hands {folder} to a shell, which takes letters, digits and _ . / + - alone; "
            "choose another place with --folder."
        )
    return folder


def _refuse_without_libpython() -> None:
    """Triton's Python stub links to it; it is beside this Python, or among the system's libraries."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    if (Path(sysconfig.get_config_var("LIBDIR") or "/") / name).exists():
        return
    try:
        ctypes.CDLL(name)
    except OSError:
        raise NodeSetupError(f"{name} is missing: apt-get install {name.partition('.so')[0]}") from None


if __name__ == "__main__":
    main()
