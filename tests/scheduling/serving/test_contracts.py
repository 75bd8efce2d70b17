"""What node and client agree on: the repository's configurations fit it, JSON survives the way, rubbish does not."""

import json
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import text_format
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from scheduling.serving.contracts import (
    MODELS,
    AnswerEvent,
    ContractBroken,
    DescribeEvent,
    DescribeRequest,
    DescribeTimings,
    DetectMeta,
    DetectTimings,
    DoneEvent,
    RegionRequest,
    TokenEvent,
    differences,
    name_fault,
    sent_bytes,
)
from scheduling.serving.nodes import MODEL_REPOSITORY
from scheduling.serving.wire import (
    decode_event,
    decode_meta,
    decode_request,
    encode_event,
    encode_meta,
    encode_request,
    event_fields,
    request_from_fields,
)

META = DetectMeta(
    model="m", version="1", digest="d" * 64, runtime="r", class_names=("open",), size_wh=(640, 480),
    timings=DetectTimings(1.0, 2.0, 3.0, 4.0, 5.0, 15.0, 2),
)  # fmt: skip
REQUEST = DescribeRequest("1", (640, 480), ("open",), (RegionRequest("r1", (1.0, 2.0, 3.0, 4.0), "open", 0.5),))
REGION = {"region_id": "r", "box_xyxy": [1, 2, 3, 4], "detector_class": "open", "score": 0.5}
DONE = DoneEvent(DescribeTimings(1.0, 2.0, 3.0, 4), "m", "1", "d", "r")

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
texts = st.text(max_size=20)
events = st.one_of(
    st.builds(TokenEvent, texts, texts),
    st.builds(
        AnswerEvent,
        region_id=texts,
        answer=st.dictionaries(texts, st.one_of(texts, numbers, st.booleans()), max_size=3),
        raw_text=texts,
        valid=st.booleans(),
        errors=st.lists(texts, max_size=3).map(tuple),
        tokens=st.integers(0, 999),
    ),
    st.builds(
        DoneEvent,
        timings=st.builds(DescribeTimings, numbers, numbers, numbers, st.integers(0, 999)),
        model=texts,
        version=texts,
        digest=texts,
        runtime=texts,
    ),
)
regions = st.builds(RegionRequest, texts, st.tuples(numbers, numbers, numbers, numbers), texts, numbers)


def served_config(model: str) -> dict[str, Any]:
    """The model's configuration as a node would tell it."""
    text = (MODEL_REPOSITORY / model / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    fields: dict[str, Any] = MessageToDict(config, preserving_proto_field_name=True)
    return fields


@pytest.mark.parametrize("model", MODELS)
def test_the_repository_serves_what_the_contract_says(model: str) -> None:
    assert differences(MODELS[model], served_config(model)) == ()


@pytest.mark.parametrize("model", MODELS)
def test_the_repository_has_a_folder_for_each_contract_and_no_other(model: str) -> None:
    folders = {path.name for path in MODEL_REPOSITORY.iterdir() if path.is_dir()}
    assert folders == set(MODELS)
    assert (MODEL_REPOSITORY / model / "1" / "model.py").is_file()


@pytest.mark.parametrize(
    ("model", "change", "sentence"),
    [
        ("edge_detector", {"max_batch_size": 0}, "max_batch_size is 0, expected 8"),
        ("describer", {"max_batch_size": 4}, "max_batch_size is 4, expected 0"),
        ("describer", {"model_transaction_policy": {}}, "decoupled is False, expected True"),
        ("describer", {"output": []}, "output event is missing"),
        (
            "describer",
            {"output": [{"name": "event", "data_type": "TYPE_STRING", "dims": ["2"]}]},
            "output event is BYTES [2], expected BYTES [1]",
        ),
        (
            "describer",
            {"output": [{"name": "event", "data_type": "TYPE_FP32", "dims": ["1"]}]},
            "output event is FP32 [1], expected BYTES [1]",
        ),
    ],
)
def test_a_difference_is_told_in_a_sentence(model: str, change: dict[str, Any], sentence: str) -> None:
    assert differences(MODELS[model], served_config(model) | change) == (sentence,)


def test_an_input_that_nobody_fills_is_a_difference_and_an_output_that_nobody_reads_is_not() -> None:
    config = served_config("edge_detector")
    config["output"] += [{"name": "heatmap", "data_type": "TYPE_FP32", "dims": ["-1"]}]
    assert differences(MODELS["edge_detector"], config) == ()
    config["input"] += [{"name": "gain", "data_type": "TYPE_FP32", "dims": ["1"]}]
    assert differences(MODELS["edge_detector"], config) == ("input gain is not in the contract",)


@given(events)
def test_an_event_survives_the_way(event: DescribeEvent) -> None:
    assert decode_event(encode_event(event)) == event


@given(st.lists(regions, min_size=1, max_size=4), st.integers(1, 999))
def test_a_request_survives_the_way(asked: list[RegionRequest], max_tokens: int) -> None:
    request = replace(REQUEST, regions=tuple(asked), max_tokens=max_tokens)
    assert decode_request(encode_request(request)) == request


class_names = st.lists(texts.filter(lambda text: not name_fault(text, 60)), min_size=1, max_size=3, unique=True)


@given(numbers, texts, class_names.map(tuple))
def test_a_meta_survives_the_way(number: float, text: str, class_names: tuple[str, ...]) -> None:
    timings = DetectTimings(number, number, number, number, number, number, 3)
    meta = replace(META, model=text, class_names=class_names, timings=timings)
    assert decode_meta(encode_meta(meta)) == meta


def test_the_fields_of_an_event_are_those_that_are_sent() -> None:
    assert event_fields(TokenEvent("r1", "a")) == {"type": "token", "region_id": "r1", "text": "a"}
    assert event_fields(DONE)["type"] == "done"


def test_a_region_brings_its_cut_of_the_template() -> None:
    region = replace(REQUEST.regions[0], template=b"\xff\xd8 a JPEG")
    sent = encode_request(replace(REQUEST, regions=(region,)))
    assert decode_request(sent).regions[0].template == b"\xff\xd8 a JPEG"


def test_a_node_that_knows_no_templates_finds_nothing_new_in_a_request_without() -> None:
    assert "template" not in json.loads(encode_request(REQUEST))["regions"][0]


def test_a_template_that_is_not_base64_is_refused() -> None:
    fields = json.loads(encode_request(REQUEST))
    fields["regions"][0]["template"] = "not base64!"
    with pytest.raises(ContractBroken, match=r"regions\[0\].template: Invalid base64"):
        decode_request(json.dumps(fields))


def test_a_regions_pictures_weigh_what_travels() -> None:
    region = replace(REQUEST.regions[0], template=bytes(1000))
    without, with_template = (encode_request(replace(REQUEST, regions=(r,))) for r in (REQUEST.regions[0], region))
    grown = len(with_template) - len(without) - len(',"template":""')
    assert sent_bytes(5000, 1000) == 5000 + grown
    assert sent_bytes(5000) == 5000


def test_a_request_without_a_limit_gets_one() -> None:
    fields = json.loads(encode_request(REQUEST))
    del fields["max_tokens"]
    assert decode_request(json.dumps(fields)) == REQUEST


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contract": "2"}, "meta speaks contract '2', this side speaks '1'"),
        ({"model": None}, "meta.model: Expected `str`, got `null`"),
        ({"version": "v" * 41}, "meta.version: Expected `str` of length <= 40"),
        ({"class_names": ["d" * 75]}, "has 75 characters; at most 60"),
        ({"class_names": ["open", "open"]}, "'open' is declared twice"),
        ({"class_names": []}, "0 classes are declared"),
        ({"unplaced": -1}, "meta.unplaced: Expected `int` >= 0"),
        ({"unplaced": 2**31}, "meta.unplaced: Expected `int` <= 2147483647"),
        ({"products": ["p"] * 51}, "meta.products: Expected `array` of length <= 50"),
        ({"products": ["p" * 41]}, "has 41 characters; at most 40"),
        (
            {"appearance": {"statistics": {f"s{n}": 1 for n in range(65)}}},
            "statistics: Expected `object` of length <= 64",
        ),
        ({"appearance": {"statistics": {"s": "1"}}}, "meta.appearance.statistics[...]: Expected `float`, got `str`"),
        ({"appearance": {"statistics": {}, "distance": 1.0}}, "a distance without a limit"),
        ({"appearance": {"statistics": {}, "limit": 1.0}}, "a limit without a distance"),
        (
            {"appearance": {"statistics": {}, "distance": -1.0, "limit": 1.0}},
            "appearance.distance: Expected `float` >= 0.0",
        ),
        ({"class_names": ["open", 3]}, "meta.class_names[1]: Expected `str`, got `int`"),
        ({"size_wh": [640]}, "meta.size_wh: Expected `array` of length 2"),
        ({"size_wh": [640, 0]}, "meta.size_wh[1]: Expected `int` >= 1"),
        ({"size_wh": [True, True]}, "meta.size_wh[0]: Expected `int`, got `bool`"),
        ({"timings": {}}, "meta.timings: Object missing required field `queue_ms`"),
    ],
)
def test_a_wrong_meta_is_refused_and_the_field_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractBroken) as caught:
        decode_meta(json.dumps(json.loads(encode_meta(META)) | change))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"score": NaN}',
        b'{"a": Infinity}',
        b'{"type": "answer"} {}',
        b'{"type": "answer", "answer": ' + b'{"a":' * 100_000,
        b'{"type": "token", "region_id": "r", "text": "\\ud800"}',
    ],
)
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    for decode in (decode_meta, decode_request, decode_event):
        with pytest.raises(ContractBroken):
            decode(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"regions": []}, "request.regions: Expected `array` of length >= 1"),
        ({"regions": [REGION] * 65}, "request.regions: Expected `array` of length <= 64"),
        ({"regions": ["r1"]}, "request.regions[0]: Expected `object`, got `str`"),
        ({"regions": [{"region_id": 7}]}, "request.regions[0].region_id: Expected `str`, got `int`"),
        ({"regions": [{"region_id": "r", "box_xyxy": [1, 2, 3]}]}, "box_xyxy: Expected `array` of length 4"),
        ({"regions": [{"region_id": "r", "box_xyxy": [1, 2, 3, "4"]}]}, "box_xyxy[3]: Expected `float`, got `str`"),
        ({"max_tokens": True}, "request.max_tokens: Expected `int`, got `bool`"),
    ],
)
def test_a_wrong_request_is_refused_and_the_field_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractBroken) as caught:
        decode_request(json.dumps(json.loads(encode_request(REQUEST)) | change))
    assert said in str(caught.value)


@pytest.mark.parametrize("change", [{"type": "shout"}, {"type": None}, {"text": 3}, {"region_id": None}])
def test_a_wrong_event_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ContractBroken):
        decode_event(json.dumps(event_fields(TokenEvent("r1", "a")) | change))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"queue_ms": 1e999}', "done.timings.queue_ms: Number out of range"),
        ('{"queue_ms": true}', "done.timings.queue_ms: Expected `float`, got `bool`"),
        ('{"queue_ms": 1, "first_token_ms": 1, "service_ms": 1, "tokens": -1}', "tokens: Expected `int` >= 0"),
    ],
)
def test_a_number_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ContractBroken) as caught:
        decode_event(encode_event(DONE).replace(json.dumps(event_fields(DONE)["timings"], separators=(",", ":")), text))
    assert said in str(caught.value)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), b"0.5", {1, 2}])
def test_a_request_from_fields_that_json_does_not_hold_is_refused(score: object) -> None:
    with pytest.raises(ContractBroken, match="request"):
        request_from_fields({**json.loads(encode_request(REQUEST)), "regions": [REGION | {"score": score}]})


def test_a_request_from_fields_may_hold_tuples() -> None:
    fields = {**json.loads(encode_request(REQUEST)), "regions": (REGION | {"box_xyxy": (1, 2, 3, 4)},)}
    assert request_from_fields(fields).regions[0].box_xyxy == (1.0, 2.0, 3.0, 4.0)
