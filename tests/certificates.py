"""A certificate authority of a test's own, and what it signs; all of it lies in the test's folder and ends with it."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Authority:
    """Made by the program openssl; no library of ours signs anything."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("There is no openssl here to make certificates with: apt-get install openssl")
        self.folder = folder / name
        self.folder.mkdir()
        self.own = Pair(self.folder / "root.pem", self.folder / "root.key")
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-keyout", str(self.own.key), "-out", str(self.own.certificate)),
        )

    @property
    def root(self) -> Path:
        return self.own.certificate

    def signs(self, name: str) -> Pair:
        """A certificate for `name` at 127.0.0.1."""
        made, request = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key"), self.folder / f"{name}.csr"
        extra = self.folder / f"{name}.ext"
        extra.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        _openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(made.key), "-out", str(request)),
        )
        _openssl(
            *("x509", "-req", "-in", str(request), "-days", "2", "-extfile", str(extra), "-out", str(made.certificate)),
            *("-CA", str(self.own.certificate), "-CAkey", str(self.own.key), "-CAcreateserial"),
        )
        return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
