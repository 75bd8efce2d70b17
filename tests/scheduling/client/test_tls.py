"""TLS to nodes: a real Triton with a certificate, asked by clients that should and should not get an answer."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from scheduling.client.tls import CERTIFICATE, KEY, ROOT, BadCertificates, NodeTls, tls_from
from scheduling.client.triton import NodeClient, NodeClients, NodeError
from scheduling.serving.nodes import NodeSetupError, ServerTls
from tests.certificates import Authority, Pair
from tests.nodes import RunningNode, node_spec, picture, start_node


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "plant")


@pytest.fixture(scope="module")
def worker(plant: Authority) -> Pair:
    return plant.signs("worker")


@pytest.fixture(scope="module")
def ours(plant: Authority, worker: Pair) -> NodeTls:
    return tls_from({ROOT: str(plant.root), CERTIFICATE: str(worker.certificate), KEY: str(worker.key)})


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strangers"), "stranger")


@pytest.fixture(scope="module")
def node(plant: Authority, ours: NodeTls, node_layout: Path) -> Iterator[RunningNode]:
    """It shows a certificate, and asks its clients for one."""
    pair = plant.signs("node")
    tls = ServerTls(pair.certificate, pair.key, clients_root=plant.root)
    running = start_node(node_spec("guarded", "edge_detector", tls=tls), layout_dir=node_layout, tls=ours)
    yield running
    running.close()


@pytest.mark.stack
def test_a_node_with_a_certificate_answers_a_client_that_shows_its_own(node: RunningNode, ours: NodeTls) -> None:
    assert node.grpc_url.startswith("grpcs://127.0.0.1:")
    with contextlib.closing(NodeClients(tls=ours)) as clients:
        client = clients.of(SimpleNamespace(name="guarded", grpc_url=node.grpc_url))
        assert client.detect(picture(), min_score=0.1, timeout_s=10).regions


@pytest.mark.stack
@pytest.mark.parametrize("who", ["no certificate", "a stranger's certificate", "another root", "no TLS"])
def test_nobody_else_gets_an_answer(
    node: RunningNode, plant: Authority, stranger: Authority, ours: NodeTls, who: str
) -> None:
    theirs = stranger.signs("worker")
    tls = {
        "no certificate": NodeTls(root=plant.root.read_bytes()),
        "a stranger's certificate": tls_from(
            {ROOT: str(plant.root), CERTIFICATE: str(theirs.certificate), KEY: str(theirs.key)}
        ),
        "another root": NodeTls(stranger.root.read_bytes(), ours.certificate, ours.key),
        "no TLS": None,
    }[who]
    url = node.grpc_url if tls else node.grpc_url.removeprefix("grpcs://")
    client = NodeClient(url, name="guarded", tls=tls)
    try:
        assert not client.probe(timeout_s=3, models=("edge_detector",)).live
        with pytest.raises(NodeError) as refused:
            client.detect(picture(), min_score=0.1, timeout_s=3)
    finally:
        client.close()
    assert refused.value.retryable


@pytest.mark.stack
def test_without_a_root_the_public_authorities_are_asked(node: RunningNode, ours: NodeTls) -> None:
    """And they know nothing of a plant's own node."""
    client = NodeClient(node.grpc_url, name="guarded", tls=NodeTls(None, ours.certificate, ours.key))
    try:
        assert not client.probe(timeout_s=3, models=("edge_detector",)).live
    finally:
        client.close()


def test_files_that_cannot_work_are_refused_before_anything_is_sent(
    plant: Authority, worker: Pair, stranger: Authority, tmp_path: Path
) -> None:
    (tmp_path / "note.pem").write_text("my key is under the mat")
    other = stranger.signs("other")
    for given, sentence in (
        ({CERTIFICATE: str(worker.certificate)}, f"{CERTIFICATE} is set without {KEY}"),
        ({KEY: str(worker.key)}, f"{KEY} is set without {CERTIFICATE}"),
        ({ROOT: "certs/root.pem"}, "is no whole path"),
        ({ROOT: str(tmp_path / "nowhere.pem")}, r"nowhere\.pem cannot be read"),
        ({ROOT: str(tmp_path / "note.pem")}, "holds no certificate in PEM"),
        ({CERTIFICATE: str(worker.certificate), KEY: str(other.key)}, "are not a certificate and its unencrypted key"),
    ):
        with pytest.raises(BadCertificates, match=sentence):
            tls_from({ROOT: str(plant.root)} | given)


def test_nothing_set_is_nothing_shown() -> None:
    assert tls_from({}) == NodeTls()


def test_a_key_is_in_no_repr(ours: NodeTls) -> None:
    assert "PRIVATE KEY" not in repr(ours)


def test_a_node_leaves_loopback_only_where_clients_must_show_a_certificate(plant: Authority, worker: Pair) -> None:
    beyond = {"address": "192.0.2.7"}
    with pytest.raises(ValueError, match="loopback only"):
        node_spec("open", tls=ServerTls(worker.certificate, worker.key), **beyond)
    spec = node_spec("guarded", tls=ServerTls(worker.certificate, worker.key, plant.root), **beyond)
    assert spec.grpc_url == f"grpcs://192.0.2.7:{spec.grpc_port}"


def test_a_node_whose_certificate_is_missing_does_not_start_in_the_clear(tmp_path: Path, worker: Pair) -> None:
    with pytest.raises(NodeSetupError, match=r"lost\.pem cannot be read"):
        ServerTls(tmp_path / "lost.pem", worker.key)
