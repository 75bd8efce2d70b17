"""Versions of the describer on a real node: brought by the client, checked, and answered by whichever is asked for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from finetune.boards import CLASSES, generate_board
from scheduling.client.answers import DescribeAnswer, NodeError
from scheduling.client.triton import NodeClient
from scheduling.serving.contracts import DescribeRequest, RegionRequest
from scheduling.serving.crops import cut_crop, encode_crop
from scheduling.serving.describers import SMALL, SMALL_FOLDER
from scheduling.serving.model_folder import digest_of
from scheduling.serving.nodes import NodeSpec
from tests.adapters import files_of, write_adapter
from tests.nodes import RunningNode, node_spec

pytestmark = pytest.mark.stack
MakeNode = Callable[[NodeSpec], RunningNode]
BASE = digest_of([SMALL_FOLDER / "model.safetensors"])
FAR_S = 120.0


def describe(client: NodeClient) -> DescribeAnswer:
    board = generate_board(31, defects=4)
    regions = tuple(RegionRequest(str(n), defect.box_xyxy, "", 0.9) for n, defect in enumerate(board.defects))
    request = DescribeRequest("1", (640, 640), CLASSES, regions, 256)
    crops = [encode_crop(cut_crop(board.image, defect.box_xyxy)) for defect in board.defects]
    return client.describe(crops, request, timeout_s=FAR_S, idle_timeout_s=FAR_S)


def texts(answer: DescribeAnswer) -> list[str]:
    return [one.raw_text for one in answer.answers]


def small_node(name: str) -> NodeSpec:
    return node_spec(name, "describer", describer=SMALL, environment={"AIVD_RESIDENT_VERSIONS": "1"})


def test_each_request_is_answered_by_the_version_it_asks_for(make_node: MakeNode, tmp_path: Path) -> None:
    zeroed = write_adapter(tmp_path / "zeroed", strength=0.0)
    trained = write_adapter(tmp_path / "trained", strength=1.0)
    node = make_node(small_node("versions"))
    with pytest.raises(NodeError) as missing:
        describe(node.client.version(trained))
    assert (missing.value.code, missing.value.retryable) == ("version_missing", True)

    assert node.client.bring(zeroed, files_of(tmp_path / "zeroed"), timeout_s=FAR_S) > 0
    assert node.client.bring(trained, files_of(tmp_path / "trained"), timeout_s=FAR_S) > 0
    assert node.client.bring(trained, files_of(tmp_path / "trained"), timeout_s=FAR_S) == 0, "it had it"

    # One of the two fits into memory at a time, and the node's own is always there.
    asked = [zeroed, trained, "", zeroed, trained, ""]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda digest: describe(node.client.version(digest)), asked))
    assert [answer.done.digest for answer in answers] == [digest or BASE for digest in asked]
    assert texts(answers[0]) == texts(answers[2]), "an adapter of zeros changes nothing"
    assert texts(answers[1]) != texts(answers[2]), "a trained one must be applied"
    assert texts(answers[1]) == texts(answers[4])
    assert answers[1].done.version == trained[:12]


def test_what_is_damaged_is_refused_and_the_node_goes_on(make_node: MakeNode, tmp_path: Path) -> None:
    digest = write_adapter(tmp_path / "v")
    weights = tmp_path / "v" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\x80\x3f")
    node = make_node(small_node("damaged"))

    with pytest.raises(NodeError, match="it was changed") as refused:
        node.client.bring(digest, files_of(tmp_path / "v"), timeout_s=FAR_S)
    assert refused.value.code == "version_refused"
    with pytest.raises(NodeError, match="is not on this node"):
        describe(node.client.version(digest))
    assert describe(node.client).done.digest == BASE


def test_a_describer_that_takes_no_adapters_says_so(constant_node: RunningNode, tmp_path: Path) -> None:
    digest = write_adapter(tmp_path / "v")
    with pytest.raises(NodeError, match="constant-describer, which takes no adapters") as refused:
        constant_node.client.bring(digest, files_of(tmp_path / "v"), timeout_s=FAR_S)
    assert refused.value.code == "version_refused"
