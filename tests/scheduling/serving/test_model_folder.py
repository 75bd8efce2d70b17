"""Hostile and broken model folders: each is refused with a sentence before anything in it is opened."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from scheduling.serving.describers import load_describer
from scheduling.serving.model_folder import RefusedFiles, check_folder, digest_of


class Bomb:
    """Unpickling it would write the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def good_folder(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "qwen2_vl"}')
    save_file({"a": np.zeros((4, 4), np.float32)}, folder / "model.safetensors")
    return folder


def zipped_pickle(bomb: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    return stream.getvalue()


def cut(folder: Path, bomb: bytes) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def lengthen(folder: Path, bomb: bytes) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + bomb)


def writes(name: str, made: Callable[[bytes], bytes]) -> Callable[[Path, bytes], object]:
    return lambda folder, bomb: folder.joinpath(name).write_bytes(made(bomb))


HOSTILE: list[tuple[Callable[[Path, bytes], object], str]] = [
    (writes("pytorch_model.bin", lambda bomb: bomb), "pytorch_model.bin may hold a pickle"),
    (writes("extra.pt", zipped_pickle), "extra.pt may hold a pickle"),
    (writes("notes.txt", lambda bomb: bomb), "notes.txt starts like a pickle"),
    (writes("notes.dat", zipped_pickle), "notes.dat is a zip archive"),
    (writes("modeling_evil.py", lambda bomb: b"import os"), "modeling_evil.py is code"),
    (writes("model.safetensors", lambda bomb: bomb), "model.safetensors is not a safetensors file"),
    (writes("model.safetensors", zipped_pickle), "model.safetensors is a zip archive"),
    (writes("model.safetensors", lambda bomb: b""), "not a safetensors file"),
    (writes("model.safetensors", lambda bomb: (10).to_bytes(8, "little") + b"[1,2,3,4,]"), "no readable safetensors"),
    (cut, "cut off"),
    (lengthen, "bytes that belong to no tensor"),
    (lambda folder, bomb: folder.joinpath("config.json").unlink(), "no config.json"),
    (lambda folder, bomb: folder.joinpath("model.safetensors").unlink(), "no weights in safetensors"),
]


@pytest.mark.parametrize(("spoil", "sentence"), HOSTILE)
def test_a_spoiled_folder_is_refused_and_nothing_in_it_runs(
    spoil: Callable[[Path, bytes], object], sentence: str, tmp_path: Path
) -> None:
    folder = good_folder(tmp_path / "model")
    trace = tmp_path / "it-ran"
    spoil(folder, pickle.dumps(Bomb(trace)))
    with pytest.raises(RefusedFiles, match=sentence):
        load_describer(str(folder), threads=1)
    assert not trace.exists()


def test_a_good_folder_passes_and_its_digest_follows_the_weights(tmp_path: Path) -> None:
    folder = good_folder(tmp_path / "model")
    before = digest_of(check_folder(folder))
    save_file({"a": np.ones((4, 4), np.float32)}, folder / "model.safetensors")
    assert digest_of(check_folder(folder)) != before
