"""Taking pictures in over REST: one, many, zips, repeats, and everything that must not get in."""

import hashlib
import io
import struct
import zipfile
import zlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from inspections.intake import uploads
from inspections.media import archives
from inspections.models import ApiToken, Event, Frame, Inspection, Step
from inspections.services import tokens
from tests.cast import picture, token_for

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


@pytest.fixture
def camera(cast, as_token):
    return as_token(token_for(cast.line, "ingest", station=cast.station))


def send(client, station, body=b"", content_type="image/jpeg", **headers):
    return client.post(f"/api/v1/stations/{station.pk}/frames", body, content_type=content_type, headers=headers)


def send_files(client, station, *files, **headers):
    sent = [SimpleUploadedFile(name, content) for name, content in files]
    return client.post(f"/api/v1/stations/{station.pk}/frames", {"file": sent}, format="multipart", headers=headers)


def zip_of(*members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def nothing_is_stored(settings):
    folder = settings.MEDIA_DIR
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    return not (Frame.objects.exists() or Step.objects.exists() or Event.objects.exists() or files)


# -- what gets in -----------------------------------------------------------------------------------


def test_a_camera_sends_a_picture_and_it_waits_to_be_detected(cast, camera, settings):
    answer = send(
        camera,
        cast.station,
        picture(1),
        **{"X-Part-Id": "board-7", "X-Captured-At": "2026-01-31T12:00:00.5+01:00", "X-File-Name": "a.jpg"},
    )
    assert answer.status_code == 201, answer.content
    (stored,) = answer.json()["frames"]
    assert stored["sha256"] == hashlib.sha256(picture(1)).hexdigest()
    assert (stored["width"], stored["height"], stored["created"]) == (64, 48, True)
    frame = Frame.objects.get(pk=stored["id"])
    assert (frame.inspection.part_id, frame.name) == ("board-7", "a.jpg")
    assert frame.captured_at.isoformat() == "2026-01-31T11:00:00.500000+00:00"
    assert frame.steps.get().state == "waiting"
    assert Event.objects.get(frame_id=frame.pk).type == "frame.added"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_five_kinds_of_picture_get_in_whatever_they_call_themselves(cast, camera, kind):
    answer = send(camera, cast.station, picture(1, format=kind), content_type="application/octet-stream")
    assert answer.status_code == 201, answer.content
    assert answer.json()["frames"][0]["media_type"] == f"image/{kind.lower()}"


def test_a_form_with_many_pictures_makes_a_frame_of_each(cast, as_person):
    answer = send_files(as_person(cast.bob), cast.station, ("a.jpg", picture(1)), ("b.png", picture(2, format="PNG")))
    assert [frame["name"] for frame in answer.json()["frames"]] == ["a.jpg", "b.png"]
    assert Inspection.objects.count() == 2


def test_what_is_wrong_with_one_picture_does_not_touch_the_others(cast, camera):
    answer = send_files(
        camera, cast.station, ("a.jpg", picture(1)), ("b.jpg", b"no picture"), ("c.jpg", picture(3)[:200])
    )
    assert answer.status_code == 201
    body = answer.json()
    assert [frame["name"] for frame in body["frames"]] == ["a.jpg"]
    assert [(item["name"], item["code"]) for item in body["rejected"]] == [
        ("b.jpg", "not_a_picture"),
        ("c.jpg", "broken_picture"),
    ]
    assert all(item["hint"] for item in body["rejected"])


@pytest.mark.parametrize("way", ["raw", "form"])
def test_a_zip_is_as_good_as_its_pictures(cast, camera, way):
    content = zip_of(
        ("day/", b""),
        ("day/a.jpg", picture(1)),
        ("__MACOSX/._a.jpg", b"junk"),
        (".DS_Store", b"junk"),
        ("notes.txt", b"hello"),
        ("inner.zip", zip_of(("x.jpg", picture(9)))),
        ("b.png", picture(2, format="PNG")),
    )
    if way == "raw":
        answer = send(camera, cast.station, content, content_type="application/zip")
    else:
        answer = send_files(camera, cast.station, ("boards.zip", content))
    body = answer.json()
    assert answer.status_code == 201, body
    assert [frame["name"] for frame in body["frames"]] == ["day/a.jpg", "b.png"]
    assert {item["name"] for item in body["rejected"]} == {"notes.txt", "inner.zip"}


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "..\\..\\boot.ini", "a/../../b.jpg", "C:\\x.jpg", "x" * 900, "a\nb.jpg"],
)
def test_names_in_a_zip_lead_nowhere(cast, camera, settings, name):
    answer = send(camera, cast.station, zip_of((name, picture(1))), content_type="application/zip")
    (stored,) = answer.json()["frames"]
    assert not {"..", "."} & set(stored["name"].split("/"))
    assert not stored["name"].startswith("/")
    assert "\\" not in stored["name"]
    assert len(stored["name"]) <= 200
    assert stored["name"].isprintable()
    kept = [path.name for path in settings.MEDIA_DIR.rglob("*") if path.is_file()]
    assert kept == [stored["sha256"]]


# -- repeats ----------------------------------------------------------------------------------------


def test_a_retry_with_its_key_is_the_same_frame(cast, camera):
    first = send(camera, cast.station, picture(1), **{"Idempotency-Key": "k1"}).json()
    again = send(camera, cast.station, picture(1), **{"Idempotency-Key": "k1"})
    assert again.status_code == 201
    assert again.json()["frames"][0]["id"] == first["frames"][0]["id"]
    assert again.json()["frames"][0]["created"] is False
    assert Frame.objects.count() == 1


def test_the_same_key_with_another_picture_is_refused(cast, camera):
    send(camera, cast.station, picture(1), **{"Idempotency-Key": "k1"})
    answer = send(camera, cast.station, picture(2), **{"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict")
    assert answer.json()["frames"] == []
    assert Frame.objects.count() == 1


def test_a_key_belongs_to_its_sender_and_station(cast, camera, as_person):
    for client, station in (
        (camera, cast.station),
        (as_person(cast.bob), cast.station),
        (as_person(cast.bob), cast.second_station),
    ):
        answer = send(client, station, picture(1), **{"Idempotency-Key": "k1"})
        assert answer.json()["frames"][0]["created"] is True


def test_a_retry_of_many_stores_what_was_missing(cast, camera):
    files = [("a.jpg", picture(1)), ("b.jpg", picture(2))]
    send_files(camera, cast.station, *files, **{"Idempotency-Key": "k"})
    answer = send_files(camera, cast.station, *files, ("c.jpg", picture(3)), **{"Idempotency-Key": "k"})
    assert [frame["created"] for frame in answer.json()["frames"]] == [False, False, True]


# -- what stays out ---------------------------------------------------------------------------------


def bomb_png():
    """A PNG whose header claims 40,000 x 40,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def lying_zip():
    """1 GB of zeros in a megabyte."""
    return zip_of(*((f"{n}.bmp", bytes(64 * 1024**2)) for n in range(2)), method=zipfile.ZIP_DEFLATED)


HOSTILE = [
    ("empty", b"", "image/jpeg", 400, "empty_body"),
    ("no picture", b"GIF89a, or is it", "image/jpeg", 415, "not_a_picture"),
    ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 415, "not_a_picture"),
    ("html", b"<html><script>alert(1)</script>", "text/html", 415, "not_a_picture"),
    ("a form that is none", b"a=b", "application/x-www-form-urlencoded", 415, "not_a_picture"),
    ("truncated", picture(1, size_wh=(640, 640))[:900], "image/jpeg", 422, "broken_picture"),
    ("bomb", bomb_png(), "image/png", 413, "picture_too_large"),
    ("no zip", b"PK\x03\x04 not really", "application/zip", 422, "bad_archive"),
    ("empty zip", zip_of(), "application/zip", 422, "bad_archive"),
    ("zip bomb", lying_zip(), "application/zip", 413, "archive_too_large"),
    ("form without files", b"--x--\r\n", "multipart/form-data; boundary=x", 400, "empty_body"),
    ("form without boundary", b"--x--\r\n", "multipart/form-data", 400, "parse_error"),
]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [row[1:] for row in HOSTILE],
    ids=[row[0] for row in HOSTILE],
)
def test_what_must_not_get_in_leaves_no_trace(cast, camera, settings, body, content_type, status, code):
    answer = send(camera, cast.station, body, content_type=content_type)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert answer.json()["detail"]
    assert answer.json()["hint"]
    assert nothing_is_stored(settings)


@pytest.mark.parametrize("files", [1, 2, 3])
@pytest.mark.parametrize("end", [b"", b"--x", b"\r\n--y--", b"cut 400"])
def test_a_form_that_ends_within_a_file_is_refused_as_a_whole(cast, camera, settings, files, end):
    """What is missing of the last file nobody knows; to keep the others would leave it out without a word."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="%d.jpg"\r\n\r\n%s\r\n'
    body = b"".join(head % (n, picture(n)) for n in range(files))
    body = body[:-400] if end == b"cut 400" else body[:-2] + end
    answer = send(camera, cast.station, body, content_type="multipart/form-data; boundary=x")
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error"), answer.content
    assert "middle of a file" in answer.json()["detail"]
    assert nothing_is_stored(settings)


def test_too_many_members_are_refused_before_any_is_read(cast, camera, monkeypatch, settings):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    content = zip_of(*((f"{n}.jpg", picture(n)) for n in range(3)))
    answer = send(camera, cast.station, content, content_type="application/zip")
    assert (answer.status_code, answer.json()["code"]) == (413, "archive_too_large")
    assert nothing_is_stored(settings)


def test_a_damaged_member_does_not_stop_the_others(cast, camera):
    content = bytearray(zip_of(("a.jpg", picture(1)), ("b.jpg", picture(2))))
    content[60] ^= 0xFF  # in the first picture's bytes, so that its checksum no longer fits
    body = send(camera, cast.station, bytes(content), content_type="application/zip").json()
    assert [item["code"] for item in body["rejected"]] == ["broken_picture"]
    assert [frame["name"] for frame in body["frames"]] == ["b.jpg"]


def test_a_picture_over_the_cap_is_refused(cast, camera, settings):
    settings.MAX_UPLOAD_BYTES = 1000
    answer = send(camera, cast.station, picture(1, size_wh=(640, 640), format="BMP"))
    assert (answer.status_code, answer.json()["code"]) == (413, "picture_too_large")
    assert nothing_is_stored(settings)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Idempotency-Key": "k" * 181}, "bad_idempotency_key"),
        ({"Idempotency-Key": "k\x07"}, "bad_idempotency_key"),
        ({"X-Part-Id": "p" * 101}, "bad_part_id"),
        ({"X-Captured-At": "yesterday"}, "bad_captured_at"),
        ({"X-Captured-At": "2026-01-31T12:00:00"}, "bad_captured_at"),
        ({"X-Captured-At": "2026-02-31T12:00:00+00:00"}, "bad_captured_at"),
        ({"X-Captured-At": "0001-01-01T00:00:00+01:00"}, "bad_captured_at"),
        ({"X-Captured-At": "9999-12-31T23:59:59-05:00"}, "bad_captured_at"),
        ({"X-Part-Id": "A\x01B"}, "bad_part_id"),
        ({"X-Part-Id": "A\ud83d"}, "bad_part_id"),
    ],
)
def test_headers_that_make_no_sense_are_refused(cast, camera, settings, headers, code):
    answer = send(camera, cast.station, picture(1), **headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert nothing_is_stored(settings)


def test_when_too_much_waits_the_answer_says_when_to_come_again(cast, camera, settings):
    settings.MAX_WAITING_STEPS = 1
    send(camera, cast.station, picture(1))
    send(camera, cast.station, picture(2))
    answer = send(camera, cast.station, picture(3))
    assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
    assert int(answer["Retry-After"]) > 0
    assert Frame.objects.count() == 2


# -- who may send -----------------------------------------------------------------------------------


def test_an_unknown_station_is_a_404(cast, as_person, settings):
    answer = as_person(cast.ada).post("/api/v1/stations/999999/frames", picture(1), content_type="image/jpeg")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert nothing_is_stored(settings)


@pytest.mark.parametrize(
    ("person", "status"), [("ada", 201), ("alice", 201), ("bob", 201), ("vera", 403), ("charlie", 404)]
)
def test_people_need_a_role_on_the_line(cast, as_person, person, status):
    assert send(as_person(getattr(cast, person)), cast.station, picture(1)).status_code == status


def test_a_stations_token_sends_to_its_station_only(cast, camera):
    assert send(camera, cast.second_station, picture(1)).status_code == 404
    assert send(camera, cast.other_station, picture(1)).status_code == 404


def test_a_token_without_the_scope_may_not_send(cast, as_token):
    answer = send(as_token(token_for(cast.line, "read")), cast.station, picture(1))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda text: text[:-1] + ("x" if text[-1] != "x" else "y"), "token_invalid"),
        (lambda text: "aivd_" + "z" * 8 + text[13:], "token_invalid"),
        (lambda text: text.upper(), "token_invalid"),
        (lambda text: "", "token_invalid"),
        (lambda text: "aivd__", "token_invalid"),
        (lambda text: text + "é", "token_invalid"),
    ],
)
def test_a_wrong_token_is_a_401_with_a_hint(cast, as_token, settings, spoil, code):
    answer = send(as_token(spoil(token_for(cast.line, "ingest"))), cast.station, picture(1))
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.json()["hint"]
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert nothing_is_stored(settings)


def test_a_revoked_and_an_expired_token_say_so(cast, as_token):
    from datetime import timedelta

    from django.utils import timezone

    issued = tokens.issue(name="old camera", line=cast.line, scopes=["ingest"], by=cast.ada)
    tokens.revoke(token=issued.token)
    answer = send(as_token(issued.text), cast.station, picture(1))
    assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
    late = token_for(cast.line, "ingest", expires_at=timezone.now() - timedelta(seconds=1))
    answer = send(as_token(late), cast.station, picture(1))
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


def test_nobody_at_all_is_a_401(cast, client):
    answer = send(client, cast.station, picture(1))
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_a_session_needs_its_csrf_token_and_a_machines_token_does_not(cast):
    from rest_framework.test import APIClient

    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(cast.bob)
    answer = send(browser, cast.station, picture(1))
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    machine = APIClient(enforce_csrf_checks=True, HTTP_AUTHORIZATION=f"Bearer {token_for(cast.line, 'ingest')}")
    assert send(machine, cast.station, picture(1)).status_code == 201


def test_the_secret_is_kept_nowhere(cast):
    issued = tokens.issue(name="camera", line=cast.line, scopes=["read"], by=cast.ada)
    secret = issued.text.split("_", 2)[2]
    row = ApiToken.objects.filter(pk=issued.token.pk).values().get()
    assert secret not in repr(row)
    assert len(secret) >= 43  # 256 bits
    assert uploads.MAX_KEY_LENGTH + len("/9999") <= 200
