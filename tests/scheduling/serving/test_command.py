"""`aivd-node` refuses by a sentence what it cannot start; that it starts a node is shown in tests/install."""

from pathlib import Path

import pytest

from scheduling.serving import __main__ as command


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tls-certificate=node.pem"], "both --tls-certificate and --tls-key"),
        (["--tls-clients-root=root.pem"], "both --tls-certificate and --tls-key"),
        (["--tls-certificate=no.pem", "--tls-key=no.key"], r"no\.pem cannot be read"),
        (["--address=192.0.2.7"], "loopback only"),
        (["--address=localhost"], "localhost"),
        (["--name=edge 1"], "letters, digits"),
        (["--folder=/srv/Prüf Stand/nodes"], "choose another place with --folder"),
    ],
)
def test_what_cannot_start_is_named(options: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=sentence) as refused:
        command.main(["edge", f"--folder={tmp_path}", *options])
    assert str(refused.value).startswith("The node cannot start. ")


def test_the_next_two_ports_are_those_of_health_and_metrics() -> None:
    spec = command._spec(command._parser().parse_args(["cloud", "--port=9000"]))
    assert (spec.name, spec.models) == ("cloud-1", ("describer",))
    assert (spec.grpc_port, spec.http_port, spec.metrics_port) == (9000, 9001, 9002)
