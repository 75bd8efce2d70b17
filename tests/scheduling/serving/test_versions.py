"""A node's shelf of versions: what arrives is checked before it is opened, and what was used longest ago leaves."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from safetensors.torch import load_file

from scheduling.serving.backend.versions import VersionRefused, VersionShelf
from scheduling.serving.bringing import BringStep, decode_step, encode_step
from scheduling.serving.contracts import ContractBroken
from scheduling.serving.describers import SMALL_FOLDER
from scheduling.serving.describers.adapters import Adapter
from scheduling.serving.model_folder import RefusedFiles
from tests.adapters import files_of, write_adapter

Shelf = Callable[..., VersionShelf]


def opened(adapter: Adapter) -> Any:
    return SimpleNamespace(digest=adapter.digest)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    def make(adapted: Callable[[Adapter], Any] = opened, **limits: int) -> VersionShelf:
        return VersionShelf(tmp_path / "node", adapted, **limits)

    return make


def bring(shelf: VersionShelf, folder: Path, digest: str, *, upload: str = "a1", piece_bytes: int = 1000) -> None:
    """In pieces, the last ones first: nothing relies on their order."""
    for name, path in files_of(folder).items():
        data = path.read_bytes()
        for offset in reversed(range(0, len(data), piece_bytes)):
            shelf.put(BringStep("piece", upload, name, offset), data[offset : offset + piece_bytes])
    shelf.seal(BringStep("seal", upload), digest)


def brought(shelf: VersionShelf, tmp_path: Path, seed: int) -> str:
    digest = write_adapter(tmp_path / f"v{seed}", seed=seed)
    bring(shelf, tmp_path / f"v{seed}", digest, upload=f"u{seed}", piece_bytes=10_000)
    return digest


def test_what_was_brought_in_pieces_is_served_under_its_digest(shelf: Shelf, tmp_path: Path) -> None:
    node, digest = shelf(), write_adapter(tmp_path / "v")
    assert not node.has(digest)

    bring(node, tmp_path / "v", digest)

    assert node.has(digest)
    assert cast(Any, node.resident(digest)).digest == digest
    assert list((tmp_path / "node" / "arriving").iterdir()) == []


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json", "lineage.json"])
def test_what_was_changed_on_the_way_is_refused_and_not_kept(shelf: Shelf, tmp_path: Path, file: str) -> None:
    node, digest = shelf(), write_adapter(tmp_path / "v")
    path = tmp_path / "v" / file
    data = bytearray(path.read_bytes())
    data[-1 if file.endswith("safetensors") else data.index(b":") + 1] ^= 1
    path.write_bytes(data)

    with pytest.raises(VersionRefused):
        bring(node, tmp_path / "v", digest)
    assert not node.has(digest)
    assert list((tmp_path / "node").glob("*/*")) == []


def test_a_pickle_is_refused_before_it_is_opened(shelf: Shelf, tmp_path: Path) -> None:
    node, digest = shelf(lambda adapter: pytest.fail("it was opened")), write_adapter(tmp_path / "v")
    (tmp_path / "v" / "adapter_config.json").write_bytes(b"\x80\x04\x95 a pickle")

    with pytest.raises(VersionRefused, match="starts like a pickle"):
        bring(node, tmp_path / "v", digest)


@pytest.mark.parametrize("name", ["../../weights.safetensors", "model.py", "adapter_model.bin", ""])
def test_only_an_adapters_own_files_are_taken(shelf: Shelf, tmp_path: Path, name: str) -> None:
    with pytest.raises(VersionRefused, match="is no file of a version"):
        shelf().put(BringStep("piece", "a1", name, 0), b"x")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_does_not_fit_the_nodes_model_is_refused_with_its_reason(shelf: Shelf, tmp_path: Path) -> None:
    def refuses(adapter: Adapter) -> Any:
        raise RefusedFiles("It was trained over another base.")

    digest = write_adapter(tmp_path / "v")
    with pytest.raises(VersionRefused, match="trained over another base"):
        bring(shelf(refuses), tmp_path / "v", digest)


def test_a_few_are_in_memory_and_the_others_are_read_again(shelf: Shelf, tmp_path: Path) -> None:
    node = shelf(resident=2)
    first, second = brought(node, tmp_path, 1), brought(node, tmp_path, 2)
    node.resident(first)  # used after the second one

    third = brought(node, tmp_path, 3)

    assert [node.resident(digest) is not None for digest in (first, second, third)] == [True, False, True]
    assert node.has(second)
    assert cast(Any, node.open(second)).digest == second


def test_the_disk_is_bounded_too(shelf: Shelf, tmp_path: Path) -> None:
    node = shelf(resident=1, kept=2)
    first, second, third = (brought(node, tmp_path, seed) for seed in (1, 2, 3))

    assert [node.has(digest) for digest in (first, second, third)] == [False, True, True]
    assert {path.name for path in (tmp_path / "node" / "stored").iterdir()} == {second, third}


def test_what_was_damaged_on_the_nodes_disk_can_be_brought_again(shelf: Shelf, tmp_path: Path) -> None:
    node = shelf(resident=1)
    first, _ = brought(node, tmp_path, 1), brought(node, tmp_path, 2)
    (tmp_path / "node" / "stored" / first / "lineage.json").write_text("{}")

    with pytest.raises(VersionRefused):
        node.open(first)
    assert not node.has(first)
    bring(node, tmp_path / "v1", first, upload="again")
    assert node.has(first)


def test_transfers_that_broke_off_do_not_fill_the_disk(shelf: Shelf, tmp_path: Path) -> None:
    node = shelf()
    for upload in range(30):
        node.put(BringStep("piece", f"u{upload}", "lineage.json", 0), b"x")
    assert len(list((tmp_path / "node" / "arriving").iterdir())) <= 8


@pytest.mark.parametrize(
    "step",
    [
        b"",
        b"[]",
        encode_step(BringStep("piece", "../../x", "lineage.json", 0)),
        encode_step(BringStep("piece", "a1", "lineage.json", -1)),
        encode_step(BringStep(cast(Any, "run"), "a1")),
    ],
)
def test_a_step_that_is_none_is_told_so(step: bytes) -> None:
    with pytest.raises(ContractBroken):
        decode_step(step)


def test_numbers_that_are_none_are_refused_before_they_answer(shelf: Shelf, tmp_path: Path) -> None:
    base = load_file(SMALL_FOLDER / "model.safetensors")

    def merged(adapter: Adapter) -> Any:
        adapter.check_base(SMALL_FOLDER)
        adapter.merged(base)
        return opened(adapter)

    node = shelf(merged)
    sound, broken = write_adapter(tmp_path / "sound"), write_adapter(tmp_path / "broken", strength=math.nan)
    bring(node, tmp_path / "sound", sound, upload="a1", piece_bytes=10_000)
    with pytest.raises(VersionRefused, match="holds what is no number"):
        bring(node, tmp_path / "broken", broken, upload="a2", piece_bytes=10_000)
    assert (node.has(sound), node.has(broken)) == (True, False)


def test_an_adapter_of_another_base_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    def based(adapter: Adapter) -> Any:
        adapter.check_base(SMALL_FOLDER)
        return opened(adapter)

    write_adapter(tmp_path / "v")
    lineage = tmp_path / "v" / "lineage.json"
    lineage.write_text(lineage.read_text().replace('"digest": "', '"digest": "0'))
    digest = Adapter.read(tmp_path / "v").digest
    with pytest.raises(VersionRefused, match="was trained over weights 0"):
        bring(shelf(based), tmp_path / "v", digest)
