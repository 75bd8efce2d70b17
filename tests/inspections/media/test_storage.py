"""The picture store on its own: on a full disk, with many writers, and what it leaves lying about."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inspections.media import storage
from inspections.media.errors import StorageFull
from tests.threads import together


@dataclass(frozen=True)
class Named:
    sha256: str


@pytest.fixture
def media(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_DIR = tmp_path / "media"
    return settings.MEDIA_DIR


@pytest.fixture
def small_disk(settings: Any, tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, where this user may mount one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    settings.MEDIA_DIR = tmp_path
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_picture_lies_under_its_hash(media: Path) -> None:
    with storage.received(b"abc", max_bytes=10) as upload:
        path = storage.keep(upload)
    digest = hashlib.sha256(b"abc").hexdigest()
    assert path == media / "frames" / digest[:2] / digest[2:4] / digest
    assert path == storage.picture_path(Named(digest))
    assert path.read_bytes() == b"abc"
    assert not list((media / "incoming").iterdir())


def test_what_was_not_kept_is_gone(media: Path) -> None:
    with storage.received(b"abc", max_bytes=10) as upload:
        assert upload.path.exists()
    assert not upload.path.exists()


def test_many_writers_of_the_same_picture_leave_one_file(media: Path) -> None:
    def put(_: int) -> Path:
        with storage.received(b"x" * 100_000, max_bytes=10**6) as upload:
            return storage.keep(upload)

    paths = together(16, put)
    assert {str(path) for path in paths} == {str(paths[0])}
    assert [path for path in media.rglob("*") if path.is_file()] == [paths[0]]


def test_a_folder_that_somebody_removed_is_made_again(media: Path) -> None:
    with storage.received(b"abc", max_bytes=10) as upload:
        path = storage.keep(upload)
    path.unlink()
    path.parent.rmdir()
    with storage.received(b"abc", max_bytes=10) as upload:
        assert storage.keep(upload).read_bytes() == b"abc"


def test_a_full_disk_refuses_and_takes_again_once_there_is_room(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(900_000))
    with pytest.raises(StorageFull), storage.received(os.urandom(400_000), max_bytes=10**6):
        pass
    assert not list((small_disk / "incoming").iterdir())
    (small_disk / "ballast").unlink()
    with storage.received(os.urandom(400_000), max_bytes=10**6) as upload:
        assert storage.keep(upload).stat().st_size == 400_000
