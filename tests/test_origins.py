"""Origins, letter by letter: a table, a thousand near misses, and both doors that ask for one."""

import os
import subprocess
import sys

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from aivd_web.origins import is_origin, is_ours, origin_of
from aivd_web.sockets import may_open

# scheme, Host, Origin, ours
TABLE = [
    ("http", "plant", "http://plant", True),
    ("http", "plant:80", "http://plant", True),
    ("https", "plant:443", "https://plant", True),
    ("http", "plant:8000", "http://plant:8000", True),
    ("http", "PLANT:8000", "http://plant:8000", True),  # who types it so; the browser still writes small letters
    ("http", "127.0.0.1:8000", "http://127.0.0.1:8000", True),
    ("http", "[::1]:8000", "http://[::1]:8000", True),
    ("https", "[2001:db8::1]", "https://[2001:db8::1]", True),
    ("http", "plant.", "http://plant.", True),
    ("http", "plant", "https://plant", False),
    ("https", "plant", "http://plant", False),
    ("http", "plant", "http://plant:8000", False),
    ("http", "plant:8000", "http://plant", False),
    ("https", "plant", "https://plant:80", False),
    ("http", "plant:8000", "http://plant:80000", False),
    ("http", "plant:8000", "http://plant:08000", False),
    ("http", "plant", "http://plant:80", False),  # no browser writes the usual port
    ("http", "plant", "http://plant.", False),
    ("http", "plant.", "http://plant", False),
    ("http", "plant", "http://plant.evil.example", False),
    ("http", "plant", "http://evilplant", False),
    ("http", "plant", "http://plant@evil.example", False),
    ("http", "plant", "http://evil.example@plant", False),
    ("http", "plant", "http://plant/", False),
    ("http", "plant", "http://plant/evil", False),
    ("http", "plant", "http://plant?x", False),
    ("http", "plant", "http://plant#x", False),
    ("http", "plant", "http://plant\\evil.example", False),
    ("http", "plant", "HTTP://PLANT", False),
    ("http", "plant", "http://Plant", False),
    ("http", "plant", " http://plant", False),
    ("http", "plant", "http://plant ", False),
    ("http", "plant", "http://plant, http://evil.example", False),
    ("http", "plant", "http://plant\thttp://evil.example", False),
    ("http", "plant", "http:plant", False),
    ("http", "plant", "//plant", False),
    ("http", "plant", "plant", False),
    ("http", "plant", "null", False),
    ("http", "null", "null", False),
    ("http", "plant", "", False),
    ("http", "", "", False),
    ("http", "", "http://", False),
    ("http", "plant", "file://plant", False),
    ("http", "plant", "chrome-extension://plant", False),
    ("http", "[::1]", "http://[::1", False),
    ("http", "[::1]", "http://::1", False),
    ("http", "[::1]", "http://[0:0:0:0:0:0:0:1]", False),
    ("http", "[::1]:8000", "http://[::1]:8001", False),
    ("http", "[::1]:8000", "http://[::1%25eth0]:8000", False),
    ("http", "plánt", "http://plánt", False),
    ("http", "plant\r\nx", "http://plant\r\nx", False),
]


@pytest.mark.parametrize(("scheme", "host", "origin", "ours"), TABLE)
def test_the_table(scheme, host, origin, ours):
    assert is_ours(origin, scheme=scheme, host=host, trusted=[]) is ours


@given(st.sampled_from([row for row in TABLE if row[3]]), st.data())
def test_whatever_differs_in_one_letter_is_another_origin(row, data):
    scheme, host, origin, _ = row
    at = data.draw(st.integers(0, len(origin)))
    letter = data.draw(st.characters(max_codepoint=0x2FF))
    replaced = data.draw(st.booleans())
    other = origin[:at] + letter + origin[at + replaced :]
    assert is_ours(other, scheme=scheme, host=host, trusted=[]) is (other == origin)


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_that_is_sent_breaks_the_comparison(host, origin):
    assert is_ours(origin, scheme="http", host=host, trusted=[]) in (True, False)
    assert origin_of("http", host) is None or is_origin(origin_of("http", host))


def test_a_trusted_one_is_compared_letter_by_letter_too():
    trusted = ["https://aivd.example.com"]
    for origin, ours in (("https://aivd.example.com", True), ("https://aivd.example.com.", False), ("null", False)):
        assert is_ours(origin, scheme="http", host="10.0.0.1:8000", trusted=trusted) is ours


NO_ORIGINS = (
    "https://*.example.com", "https://a.example.com/", "aivd.example.com", "https://A.example.com", "*", "null",
    "https://a.example.com:443", "", "https://", "https://a.example.com:x",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_ORIGINS)
def test_what_is_no_origin_as_browsers_write_it(text):
    assert not is_origin(text)


def test_a_trusted_origin_that_is_none_stops_the_start_with_a_sentence(tmp_path):
    entry = "https://*.example.com"
    done = subprocess.run(
        [sys.executable, "-c", "import aivd_web.settings"],
        env={**os.environ, "AIVD_TRUSTED_ORIGINS": entry, "AIVD_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert f"'{entry}' in AIVD_TRUSTED_ORIGINS is no origin" in done.stderr


# -- websockets -------------------------------------------------------------------------------------


def scope(host="testserver", scheme="ws", **headers):
    rows = [(b"host", host.encode("latin1"))]
    rows += [(b"origin", value.encode("latin1", "replace")) for value in headers.get("origins", [])]
    return {"headers": rows, "scheme": scheme}


@pytest.mark.parametrize(
    ("sent", "with_token", "opens"),
    [
        (["http://testserver"], False, True),
        (["http://testserver"], True, True),
        (["https://testserver"], False, False),
        (["https://testserver"], True, False),
        (["http://testserver", "http://testserver"], False, False),
        (["http://testserver", "http://evil.example"], True, False),
        (["null"], True, False),
        ([], False, False),
        ([], True, True),
        ([""], False, False),
        ([""], True, True),
    ],
)
def test_a_session_needs_one_origin_of_ours_and_a_device_with_a_token_none(settings, sent, with_token, opens):
    settings.ALLOWED_HOSTS = ["testserver"]
    assert may_open(scope(origins=sent), with_token=with_token) is opens


@pytest.mark.parametrize(
    ("behind_tls", "ws", "scheme"), [(True, "ws", "https"), (False, "wss", "https"), (False, "ws", "http")]
)
def test_the_scheme_is_the_one_that_the_page_came_by(settings, behind_tls, ws, scheme):
    settings.ALLOWED_HOSTS, settings.BEHIND_TLS = ["testserver"], behind_tls
    for other in ("http", "https"):
        assert may_open(scope(scheme=ws, origins=[f"{other}://testserver"]), with_token=False) is (other == scheme)


@pytest.mark.parametrize("host", ["evil.example", "testserver.evil.example", "", "testserver:8000:9000", "[::1"])
def test_a_host_that_is_not_ours_opens_nothing_even_to_its_own_page(settings, host):
    settings.ALLOWED_HOSTS = ["testserver"]
    assert may_open(scope(host, origins=[f"http://{host}"]), with_token=False) is False


# -- forms and the API ------------------------------------------------------------------------------

PLAIN = [row[2:] for row in TABLE if row[:2] == ("http", "plant")]
HTTP_ORIGINS = [(origin.replace("plant", "testserver"), ours) for origin, ours in PLAIN]


@pytest.mark.stack
@pytest.mark.django_db
@pytest.mark.parametrize(("origin", "ours"), [row for row in HTTP_ORIGINS if row[0].isprintable() and row[0]])
def test_a_form_and_the_api_take_a_session_from_our_own_pages_only(cast, origin, ours):
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.ada)
    client.get("/sign-in/")
    client.get(f"/live/{cast.line.pk}/")
    token = client.cookies["csrftoken"].value
    headers = {"origin": origin, "x-csrftoken": token}
    answer = client.put(f"/api/v1/lines/{cast.line.pk}/policy", {"policy": "c3"}, "application/json", headers=headers)
    assert answer.status_code == (200 if ours else 403)
    assert ours or answer.json()["code"] == "csrf_failed"
    assert client.post("/sign-out/", headers=headers).status_code == (302 if ours else 403)
