"""The pages: who gets one, and what it tells its island. What the islands show is tested in the browser."""

import json
import re

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


def boot_of(response):
    found = re.search(r'<script id="boot" type="application/json">(.*?)</script>', response.content.decode(), re.S)
    assert found is not None
    return json.loads(found.group(1))


@pytest.mark.parametrize("address", ["/", "/live/1/", "/fleet/"])
def test_a_stranger_is_sent_to_sign_in_and_back(client, cast, address):
    assert client.get(address).headers["Location"] == f"/sign-in/?next={address}"


def test_home_is_the_first_line_that_one_may_see(client, cast):
    client.force_login(cast.charlie)
    assert client.get("/").headers["Location"] == f"/live/{cast.other_line.pk}/"


def test_norah_without_a_role_is_told_so_and_sees_no_line(client, cast):
    client.force_login(cast.norah)
    boot = boot_of(client.get("/"))
    assert (boot["line"], boot["lines"]) == (None, [])
    assert client.get("/fleet/").status_code == 404


def test_charlie_cannot_open_the_line_of_others(client, cast):
    client.force_login(cast.charlie)
    assert client.get(f"/live/{cast.line.pk}/").status_code == 404


@pytest.mark.parametrize(
    ("person", "review", "manage"),
    [("vera", False, False), ("bob", True, False), ("alice", True, False), ("ada", True, True)],
)
def test_a_page_offers_what_its_reader_may_do(client, cast, person, review, manage):
    client.force_login(getattr(cast, person))
    assert boot_of(client.get(f"/live/{cast.line.pk}/"))["me"]["can"]["review"] is review
    fleet = boot_of(client.get("/fleet/"))
    assert fleet["may_manage_fleet"] is manage
    assert fleet["may_replay"] is (person in ("alice", "ada"))


def test_a_line_with_markup_in_its_name_stays_text(client, cast):
    cast.line.name = "</script><script>alert(1)</script>"
    cast.line.save()
    client.force_login(cast.vera)
    response = client.get(f"/live/{cast.line.pk}/")
    assert b"<script>alert" not in response.content
    assert boot_of(response)["line"]["name"] == cast.line.name


def test_sign_in_says_the_same_of_a_wrong_name_and_a_wrong_password(client, cast):
    answers = [
        client.post("/sign-in/", {"username": name, "password": "wrong"}).context["form"].non_field_errors()
        for name in (cast.vera.username, "nobody-of-that-name")
    ]
    assert list(answers[0]) == list(answers[1])
    assert "Wrong username or password." in answers[0][0]
