"""Certificates for nodes that speak TLS, and how an address says that one does. Knows no gRPC and no Django."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SECURE = "grpcs://"
ROOT, CERTIFICATE, KEY = "AIVD_NODE_TLS_ROOT", "AIVD_NODE_TLS_CERTIFICATE", "AIVD_NODE_TLS_KEY"


class BadCertificates(ValueError):
    """The files for TLS to nodes cannot be used; the text names the variable and what to do."""


@dataclass(frozen=True, slots=True)
class NodeTls:
    """PEM texts. `root` is who may have signed a node's certificate; without it, the public authorities.

    With `certificate` and `key` the client proves who it is, which a node may ask for (mTLS).
    """

    root: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


def target_of(grpc_url: str) -> tuple[str, bool]:
    """The `host:port` of a node's address, and whether it is reached by TLS."""
    return grpc_url.removeprefix(SECURE), grpc_url.startswith(SECURE)


def tls_from(environ: Mapping[str, str]) -> NodeTls:
    """Read the files once, at the start, so that no call fails for one that was moved since.

    Raises BadCertificates, also for a key that does not belong to its certificate.
    """
    root, certificate, key = (_file(environ, variable) for variable in (ROOT, CERTIFICATE, KEY))
    if (certificate is None) != (key is None):
        given, missing = (CERTIFICATE, KEY) if certificate else (KEY, CERTIFICATE)
        raise BadCertificates(f"{given} is set without {missing}; a certificate is proved by its key.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if root:
            context.load_verify_locations(root)
    except ssl.SSLError as error:
        raise BadCertificates(f"{ROOT}: {root} holds no certificate in PEM ({error.reason}).") from error
    try:
        if certificate and key:
            context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise BadCertificates(
            f"{CERTIFICATE} and {KEY}: {certificate} and {key} are not a certificate and its unencrypted key in PEM "
            f"({error.reason})."
        ) from error
    return NodeTls(*(path.read_bytes() if path else None for path in (root, certificate, key)))


def _file(environ: Mapping[str, str], variable: str) -> Path | None:
    text = environ.get(variable, "").strip()
    if not text:
        return None
    path = Path(text)
    if not path.is_absolute():
        raise BadCertificates(f"{variable}={text!r} is no whole path; processes start in different folders.")
    try:
        path.read_bytes()
    except OSError as error:
        raise BadCertificates(f"{variable}: {path} cannot be read ({error.strerror}).") from error
    return path


def _no_password() -> bytes:
    """Asked for an encrypted key: nobody is there to type one."""
    return b""
