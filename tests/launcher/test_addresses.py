"""Ports and nodes from environment variables."""

import pytest

from aivd_web.launcher.addresses import AddressError, NodeAddress, addresses_from


def test_defaults_are_three_nodes_on_loopback_and_a_far_cloud() -> None:
    found = addresses_from({})
    assert found.web_url == "http://127.0.0.1:8000"
    assert found.node_list == "edge-1=edge@127.0.0.1:8101,edge-2=edge@127.0.0.1:8104,cloud-1=cloud@127.0.0.1:8109"
    cloud = found.embedded[2]
    assert (cloud.link_port, cloud.link_delay_ms) == (8109, 40)


def test_no_two_parts_share_a_port() -> None:
    ports = [
        port
        for node in addresses_from({}).embedded
        for port in (node.http_port, node.grpc_port, node.metrics_port, node.link_port, node.link_control_port)
        if port is not None
    ]
    assert len(set(ports)) == len(ports) == 11


def test_ports_can_be_moved() -> None:
    found = addresses_from({"AIVD_PORT": "9000", "AIVD_NODE_PORT_BASE": "9100", "AIVD_HOST": "0.0.0.0"})
    assert (found.host, found.web_url) == ("0.0.0.0", "http://127.0.0.1:9000")
    assert found.nodes[0] == NodeAddress("edge-1", "edge", "127.0.0.1:9101")


def test_nodes_from_outside_replace_the_embedded_ones() -> None:
    found = addresses_from({"AIVD_NODES": "line-3=edge@10.0.0.5:8001, big=cloud@gpu.plant:8001,six=edge@[::1]:8001"})
    assert found.embedded == ()
    assert [node.grpc_url for node in found.nodes] == ["10.0.0.5:8001", "gpu.plant:8001", "[::1]:8001"]


def test_a_node_may_ask_for_tls() -> None:
    found = addresses_from({"AIVD_NODES": "a=edge@grpcs://10.0.0.5:8001,b=cloud@grpcs://[::1]:8001"})
    assert [node.grpc_url for node in found.nodes] == ["grpcs://10.0.0.5:8001", "grpcs://[::1]:8001"]
    assert addresses_from({"AIVD_NODES": found.node_list}).nodes == found.nodes


@pytest.mark.parametrize(
    "text",
    [
        "edge-1",
        "edge-1=edge",
        "edge-1=fog@h:1",
        "Edge=edge@h:1",
        "a=edge@h:0",
        "a=edge@h:70000",
        "a=edge@h:1,a=edge@h:2",
        "a=edge@https://h:1",
        "a=edge@grpc://h:1",
        "a=edge@grpcs://h",
        "a=edge@grpcs://h:1/v2",
    ],
)
def test_a_bad_node_list_is_named(text: str) -> None:
    with pytest.raises(AddressError, match="AIVD_NODES"):
        addresses_from({"AIVD_NODES": text})


@pytest.mark.parametrize(
    ("variable", "text"), [("AIVD_PORT", "http"), ("AIVD_NODE_PORT_BASE", "0"), ("AIVD_PORT", "-1")]
)
def test_a_bad_port_is_named(variable: str, text: str) -> None:
    with pytest.raises(AddressError, match=f"{variable}={text!r} is not a port"):
        addresses_from({variable: text})


@pytest.mark.parametrize("port", ["8100", "8110"])
def test_the_web_may_not_listen_on_a_nodes_port(port: str) -> None:
    with pytest.raises(AddressError, match=f"AIVD_PORT={port} lies among the nodes' ports 8100 to 8110"):
        addresses_from({"AIVD_PORT": port})


@pytest.mark.parametrize("port", ["8099", "8111"])
def test_the_ports_beside_the_nodes_are_free(port: str) -> None:
    assert addresses_from({"AIVD_PORT": port}).port == int(port)


def test_nodes_from_elsewhere_take_no_ports_here() -> None:
    assert addresses_from({"AIVD_PORT": "8100", "AIVD_NODES": "edge-1=edge@h:1"}).port == 8100


def test_a_node_base_without_room_is_refused() -> None:
    with pytest.raises(AddressError, match="leaves no room for 11 ports"):
        addresses_from({"AIVD_NODE_PORT_BASE": "65530"})


@pytest.mark.parametrize(
    ("text", "host", "url"),
    [
        ("::1", "::1", "http://[::1]:8000"),
        ("[::1]", "::1", "http://[::1]:8000"),
        ("::", "::", "http://[::1]:8000"),
        ("[2001:db8::5]", "2001:db8::5", "http://[2001:db8::5]:8000"),
        ("0.0.0.0", "0.0.0.0", "http://127.0.0.1:8000"),
        ("10.0.0.5", "10.0.0.5", "http://10.0.0.5:8000"),
        ("line-pc.plant", "line-pc.plant", "http://line-pc.plant:8000"),
        ("", "127.0.0.1", "http://127.0.0.1:8000"),
    ],
)
def test_the_web_listens_where_it_is_told_and_names_an_address_that_works(text: str, host: str, url: str) -> None:
    found = addresses_from({"AIVD_HOST": text})
    assert (found.host, found.web_url) == (host, url)


@pytest.mark.parametrize("text", ["http://10.0.0.5", "10.0.0.5:8000", "[10.0.0.5", "[line-pc]", "a b", "-x", "::1::"])
def test_a_bad_host_is_named(text: str) -> None:
    with pytest.raises(AddressError, match="AIVD_HOST="):
        addresses_from({"AIVD_HOST": text})
