"""The door for uploads under odd and hostile requests: each has an answer with a code, and keeps what is good."""

import io
import os
import zipfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from inspections.intake import ingest
from inspections.media import storage
from inspections.media.errors import Overloaded
from inspections.models import Frame, Inspection
from tests.cast import Cast, picture, token_for

pytestmark = [pytest.mark.stack, pytest.mark.django_db]

ENVELOPE = {"code", "detail", "hint"}


@pytest.fixture
def camera(cast: Cast, as_token: Any) -> Any:
    return as_token(token_for(cast.line, "ingest", station=cast.station))


def send(client: Any, cast: Cast, body: bytes = b"", content_type: str = "image/jpeg", **headers: str) -> Any:
    return client.post(f"/api/v1/stations/{cast.station.pk}/frames", body, content_type=content_type, headers=headers)


def zip_of(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def form(*files: tuple[str, bytes], fields: dict[str, str] | None = None, boundary: str = "x") -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (fields or {}).items()
    ]
    for name, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


FORM = "multipart/form-data; boundary=x"


# -- every picture has its answer -------------------------------------------------------------------


@pytest.fixture
def unforeseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeping the picture of seed 2 meets an error that nobody foresaw."""
    bad = picture(2)

    real = storage.keep

    def keep(upload: storage.Received) -> Any:
        if upload.path.read_bytes() == bad:
            raise KeyError("MPO")
        return real(upload)

    monkeypatch.setattr(storage, "keep", keep)


@pytest.mark.usefixtures("unforeseen")
def test_an_error_that_nobody_foresaw_is_told_for_its_picture(cast: Cast, camera: Any) -> None:
    answer = send(camera, cast, picture(2))
    assert (answer.status_code, answer.json()["code"]) == (422, "not_taken_in")
    assert set(answer.json()) >= ENVELOPE


@pytest.mark.usefixtures("unforeseen")
@pytest.mark.parametrize("way", ["raw", "form", "zip in a form"])
def test_one_bad_picture_keeps_the_others_and_sent_again_makes_no_second_frames(
    cast: Cast, camera: Any, way: str
) -> None:
    files = [("ok1.jpg", picture(1)), ("phone.jpg", picture(2)), ("ok2.jpg", picture(3))]
    body, content_type = {
        "raw": (zip_of(*files), "application/zip"),
        "form": (form(*files), FORM),
        "zip in a form": (form(("boards.zip", zip_of(*files))), FORM),
    }[way]
    first, again = (send(camera, cast, body, content_type, **{"Idempotency-Key": "k"}).json() for _ in range(2))
    assert [frame["name"] for frame in first["frames"]] == ["ok1.jpg", "ok2.jpg"]
    assert [(item["name"], item["code"]) for item in first["rejected"]] == [("phone.jpg", "not_taken_in")]
    assert [frame["id"] for frame in again["frames"]] == [frame["id"] for frame in first["frames"]]
    assert Frame.objects.count() == 2


def test_keys_do_not_depend_on_what_became_of_the_others(
    cast: Cast, camera: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time the second picture fails, the second time it does not: the third is the same frame."""
    files = [
        ("a.jpg", picture(1)),
        ("broken.zip", b"PK\x03\x04"),
        ("b.zip", zip_of(("Thumbs.db", b""), ("b.jpg", picture(2)))),
    ]
    real = ingest.add_frame

    def fails(**kwargs: Any) -> Any:
        if kwargs["name"] == "a.jpg":
            raise RuntimeError
        return real(**kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "add_frame", fails)
        first = send(camera, cast, form(*files), FORM, **{"Idempotency-Key": "k"}).json()
    again = send(camera, cast, form(*files), FORM, **{"Idempotency-Key": "k"}).json()
    assert [(frame["name"], frame["created"]) for frame in first["frames"]] == [("b.jpg", True)]
    assert [(frame["name"], frame["created"]) for frame in again["frames"]] == [("a.jpg", True), ("b.jpg", False)]


def test_equal_pictures_in_one_zip_are_two_frames(cast: Cast, camera: Any) -> None:
    body = zip_of(("cam0/img.jpg", picture(1)), ("cam1/img.jpg", picture(1)))
    for _ in range(2):
        stored = send(camera, cast, body, "application/zip", **{"Idempotency-Key": "k"}).json()["frames"]
        assert [frame["name"] for frame in stored] == ["cam0/img.jpg", "cam1/img.jpg"]
    assert Frame.objects.count() == 2


# -- a zip is known by its first bytes --------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    ["application/zip", "Application/Zip", "application/x-zip-compressed", "application/octet-stream", "image/jpeg",
     "text/plain", "multipart/x-zip"],
)  # fmt: skip
def test_a_zip_is_a_zip_whatever_it_is_called(cast: Cast, camera: Any, content_type: str) -> None:
    body = zip_of(("Prüfung/a.jpg", picture(1)), ("Prüfung/.DS_Store", b"x"))
    answer = send(camera, cast, body, content_type)
    assert [frame["name"] for frame in answer.json()["frames"]] == ["Prüfung/a.jpg"], answer.content
    assert answer.json()["rejected"] == []


def test_junk_in_a_form_is_passed_over(cast: Cast, camera: Any) -> None:
    answer = send(camera, cast, form(("Thumbs.db", b"x"), ("a.jpg", picture(1)), ("._a.jpg", b"y")), FORM)
    assert [frame["name"] for frame in answer.json()["frames"]] == ["a.jpg"]
    assert answer.json()["rejected"] == []
    answer = send(camera, cast, form(("Thumbs.db", b"x")), FORM)
    assert (answer.status_code, answer.json()["code"]) == (400, "empty_body")


# -- words in headers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        "Gehäuse-Nr 5".encode().decode("latin-1"),  # UTF-8, each byte taken for a letter by the server
        "Gehäuse-Nr 5",  # Latin-1
        "Geha\u0308use-Nr 5".encode().decode("latin-1"),
    ],
)
def test_headers_are_read_as_utf8_and_one_part_is_one_inspection(cast: Cast, camera: Any, sent: str) -> None:
    send(camera, cast, picture(1), **{"X-Part-Id": "Gehäuse-Nr 5".encode().decode("latin-1")})
    answer = send(camera, cast, picture(2), **{"X-Part-Id": sent, "X-File-Name": sent + ".jpg"})
    assert answer.json()["frames"][0]["name"] == "Gehäuse-Nr 5.jpg"
    assert Inspection.objects.get().part_id == "Gehäuse-Nr 5"


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("attachment; filename*=UTF-8''Geh%C3%A4use%205.jpg", "Gehäuse 5.jpg"),
        ("attachment; filename=\"x.jpg\"; filename*=utf-8'de'Geh%C3%A4use.jpg", "Gehäuse.jpg"),
        ("attachment; filename*=ISO-8859-1''Geh%E4use.jpg", "Gehäuse.jpg"),
        ('attachment; filename="a b.jpg"', "a b.jpg"),
        ("attachment; filename*=nonsense''a.jpg", "a.jpg"),
        ("attachment; filename*", ""),
        ("attachment; filename*=''", ""),
        (";;;", ""),
    ],
)
def test_a_name_may_come_as_content_disposition(cast: Cast, camera: Any, disposition: str, name: str) -> None:
    answer = send(camera, cast, picture(1), **{"Content-Disposition": disposition})
    assert answer.json()["frames"][0]["name"] == name


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(
            ["X-Part-Id", "X-File-Name", "X-Captured-At", "Idempotency-Key", "Content-Disposition", "Accept"]
        ),
        st.text(st.characters(max_codepoint=255))
        | st.sampled_from(["filename*=x''%ff", "multipart/x; boundary=", "*"]),
    )
)
def test_whatever_stands_in_the_headers_has_an_answer(cast: Cast, camera: Any, headers: dict[str, str]) -> None:
    answer = send(camera, cast, picture(1), **headers)
    assert answer.status_code in (201, 400, 422), answer.content
    assert answer.status_code == 201 or set(answer.json()) >= ENVELOPE


# -- forms ------------------------------------------------------------------------------------------


def test_a_form_of_1300_files_takes_one_open_file(cast: Cast, camera: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before, most = len(os.listdir("/proc/self/fd")), 0

    def counts(**kwargs: Any) -> Any:
        nonlocal most
        most = max(most, len(os.listdir("/proc/self/fd")))
        raise Overloaded("Full.", retry_after_s=5)

    monkeypatch.setattr(ingest, "add_frame", counts)
    answer = send(camera, cast, form(*((f"{n}.jpg", picture(n)) for n in range(1_300))), FORM)
    assert answer.status_code == 429
    assert len(answer.json()["rejected"]) == 1_300
    assert most < before + 20


def test_each_file_of_a_form_is_its_own_bytes(cast: Cast, camera: Any) -> None:
    files = [(f"{n}.png", picture(n, format="PNG")) for n in range(5)] + [("z.zip", zip_of(("z.jpg", picture(9))))]
    stored = send(camera, cast, form(*files), FORM).json()["frames"]
    assert [frame["name"] for frame in stored] == ["0.png", "1.png", "2.png", "3.png", "4.png", "z.jpg"]
    assert len({frame["sha256"] for frame in stored}) == 6


def test_too_many_files_fields_and_text_are_answers(cast: Cast, camera: Any, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 3
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 3
    for body, code in (
        (form(*((f"{n}.jpg", b"x") for n in range(4))), "too_many_files"),
        (form(fields={f"f{n}": "" for n in range(9)}), "too_many_fields"),
        (
            form(("a.jpg", picture(1)), fields={"note": "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)}),
            "fields_too_large",
        ),
    ):
        answer = send(camera, cast, body, FORM)
        assert (answer.status_code, answer.json()["code"]) == (413, code)
        assert set(answer.json()) >= ENVELOPE
    assert not Frame.objects.exists()


FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
ODD_FORMS = [
    b"",
    b"--x",
    b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename*=foo''a.jpg\r\n\r\nx\r\n--x--\r\n",
    b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-16''%d8%3d.jpg\r\n\r\nx\r\n--x--\r\n",
    FILE + b"Content-Transfer-Encoding: base64\r\n\r\n!!\r\n--x--\r\n",
    FILE + b"Content-Length: x\r\n\r\nabc\r\n--x--\r\n",
    FILE + b"Content-Type: text/plain; charset=nonsense\r\n\r\nabc\r\n--x--\r\n",
    b'--x\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\nabc\r\n--x--\r\n',
    b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\nabc\r\n--x--\r\n',
    b"--x\r\n" * 500,
    b"--x\r\nContent-Disposition: " + b"a" * 5_000 + b"\r\n\r\n--x--",
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a\xff\xfe.jpg"\r\n\r\nabc\r\n--x--\r\n',
]


@pytest.mark.parametrize("body", ODD_FORMS, ids=range(len(ODD_FORMS)))
@pytest.mark.parametrize("who", ["token", "session"])
def test_an_odd_form_is_an_answer(cast: Cast, camera: Any, as_person: Any, body: bytes, who: str) -> None:
    answer = send(camera if who == "token" else as_person(cast.bob), cast, body, FORM)
    assert 400 <= answer.status_code < 500, answer.content
    assert set(answer.json()) >= ENVELOPE


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=", "multipart/form-data; boundary=\xff",
    "multipart/form-data; charset=nonsense; boundary=x", "multipart/mixed; boundary=x", "multipart/"])  # fmt: skip
def test_an_odd_kind_of_form_is_an_answer(cast: Cast, camera: Any, content_type: str) -> None:
    answer = send(camera, cast, form(("a.jpg", picture(1))), content_type)
    assert answer.status_code in (201, 400, 415), answer.content


# -- what is asked for ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accept", ["image/jpeg", "image/*", "image/avif,image/webp,*/*;q=0.1", "text/html", "nonsense", ""]
)
def test_a_client_of_pictures_is_answered(cast: Cast, camera: Any, as_person: Any, accept: str) -> None:
    answer = send(camera, cast, picture(1), Accept=accept)
    assert answer.status_code == 201
    frame_id = answer.json()["frames"][0]["id"]
    for what in ("picture", "thumbnail"):
        shown = as_person(cast.vera).get(f"/api/v1/frames/{frame_id}/{what}", headers={"Accept": accept})
        assert (shown.status_code, shown["Content-Type"]) == (200, "image/jpeg")
        Image.open(io.BytesIO(shown.content)).load()
    missing = as_person(cast.charlie).get(f"/api/v1/frames/{frame_id}/picture", headers={"Accept": accept})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    ["[" * 100_000, '{"a":' * 50_000,
     '{"deadline_ms": "\\ud83d"}', '{"deadline_ms": "\\u0000"}',
     '{"deadline_ms": 1e999}', '{"deadline_ms": -1e999}', '{"deadline_ms": NaN}',
     '{"deadline_ms": ' + "9" * 5_000 + "}",
     '{"thresholds": [{"defect_class_id": 1, "min_score": 1e999}]}', "\x00", "nul", "{]", '"' ],
)  # fmt: skip
def test_json_that_is_none_is_an_answer(cast: Cast, as_person: Any, body: str) -> None:
    answer = as_person(cast.alice).patch(f"/api/v1/stations/{cast.station.pk}", body, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert set(answer.json()) >= ENVELOPE
