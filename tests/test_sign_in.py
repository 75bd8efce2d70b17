"""Signing in: how often it may be tried, how many at once, how long a text, and that nobody is kept out for long."""

import re
import threading

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import check_password, make_password
from django.core.exceptions import ValidationError
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from aivd_web import attempts as counting
from aivd_web import passwords
from aivd_web.attempts import Attempts, Count, Counted, LocalCounts, RedisCounts, TooManyAttempts, network_of
from aivd_web.kernel.parts import part, parts
from aivd_web.passwords import BoundedArgon2, MaximumLengthValidator, Places, TooBusy
from scheduling.services import redis_client
from tests.services import take_away

PAGE = {"accept": "text/html"}
DOORS = ("/sign-in/", "/admin/login/")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def alone(clock, monkeypatch):
    """Attempts of a process whose Redis is away."""
    monkeypatch.setattr(redis_client, "attempt", lambda call, otherwise: otherwise)
    return Attempts(LocalCounts(clock=clock))


def wait_of(attempts, account="vera", address="10.0.0.5"):
    try:
        attempts.check(account, address)
    except TooManyAttempts as refused:
        return refused.retry_after_s
    return 0


def fail(attempts, times, account="vera", address="10.0.0.5"):
    for _ in range(times):
        attempts.failed(account, address)


# -- the counts -------------------------------------------------------------------------------------


def test_four_mistakes_cost_nothing_and_then_each_doubles_the_wait_up_to_a_minute(alone, clock):
    waits = []
    for _ in range(14):
        fail(alone, 1)
        waits.append(wait_of(alone))
        clock.now += waits[-1]
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_asking_while_one_must_wait_does_not_make_it_longer(alone, clock):
    fail(alone, 8)
    for _ in range(50):
        assert wait_of(alone) == 8
    clock.now += 8
    assert wait_of(alone) == 0


def test_a_good_password_clears_the_mistakes_before_it(alone, clock):
    fail(alone, 4)
    alone.succeeded("vera", "10.0.0.5")
    fail(alone, 4)
    assert wait_of(alone) == 0


def test_after_a_quarter_of_an_hour_nothing_is_held_against_anybody(alone, clock):
    fail(alone, 9)
    clock.now += counting.FORGET_S + 1
    fail(alone, 1)
    assert wait_of(alone) == 0


def test_a_guess_from_many_addresses_waits_for_the_account(alone):
    for n in range(counting.FREE_ACCOUNT + 9):
        fail(alone, 1, address=f"10.1.0.{n}")
    assert 0 < wait_of(alone, address="10.9.9.9") <= counting.LONGEST_WIDE_S


def test_a_guess_at_many_accounts_waits_for_the_address(alone):
    for n in range(counting.FREE_ADDRESS + 9):
        fail(alone, 1, account=f"name-{n}")
    assert 0 < wait_of(alone, account="another") <= counting.LONGEST_WIDE_S


def test_neither_keeps_out_who_has_signed_in_from_there_before(alone):
    """One plant behind one gateway: what a stranger or a broken script does there stops none of its people."""
    people = [f"inspector-{n}" for n in range(30)]
    for name in people:
        alone.succeeded(name, "10.0.0.5")
    for n in range(500):
        fail(alone, 1, account=f"guess-{n}")
        fail(alone, 1, account="inspector-7", address=f"203.0.113.{n % 250}")
    assert {wait_of(alone, account=name) for name in people} == {0}
    assert wait_of(alone, account="stranger") > 0


@pytest.mark.parametrize("name", ["vera", "VERA", "Vera", "ｖｅｒａ"])
def test_one_account_has_one_count_however_its_name_is_written(alone, name):
    fail(alone, 9)
    assert wait_of(alone, account=name) > 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "10.0.0.6", False),
        ("::ffff:10.0.0.5", "10.0.0.5", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        ("", "", True),
        ("unix", "10.0.0.5", False),
    ],
)
def test_an_address_is_what_one_customer_has(one, other, same):
    assert (network_of(one) == network_of(other)) is same


@given(st.text(max_size=300), st.text(max_size=60))
def test_keys_have_one_length_and_hold_no_name(name, address):
    of = Counted(name, address)
    assert re.fullmatch("aivd:sign-in:pair:[0-9a-f]{32}:[0-9a-f]{32}", of.pair.key)
    assert re.fullmatch("aivd:sign-in:known:[0-9a-f]{32}:[0-9a-f]{32}", of.known)


@given(st.integers(0, 10**9))
def test_no_number_of_failures_makes_anybody_wait_longer_than_a_minute(number):
    for count in (Counted("a", "b").pair, *Counted("a", "b").wide):
        assert 0 <= count.wait_s(number) <= 60


def test_counts_of_one_process_are_bounded(clock, monkeypatch):
    monkeypatch.setattr(counting, "MOST_COUNTS", 50)
    counts = LocalCounts(clock=clock)
    for n in range(500):
        counts.fail([Count(f"k{n}", 1, 60)])
        counts.succeed(f"other{n}", f"known{n}")
    assert max(len(counts._failures), len(counts._blocked_until), len(counts._known)) <= 50


@pytest.mark.stack
@pytest.mark.usefixtures("redis_server")
def test_all_processes_count_together_and_go_on_alone_without_redis(monkeypatch):
    redis_client.get().flushdb()
    first, second = Attempts(), Attempts()
    fail(first, 4)
    fail(second, 4)
    assert wait_of(first) == wait_of(second) == 8
    take_away(monkeypatch)
    assert wait_of(first) == 0, "it has seen four"
    fail(first, 2)
    assert wait_of(first) == 2


@pytest.mark.stack
@pytest.mark.usefixtures("redis_server")
def test_what_is_kept_in_redis_ends_by_itself():
    client = redis_client.get()
    client.flushdb()
    attempts = Attempts()
    fail(attempts, 9)
    attempts.succeeded("bob", "10.0.0.6")
    assert all(client.ttl(key) > 0 for key in client.scan_iter("aivd:sign-in:*"))
    assert RedisCounts(client).knows(Counted("bob", "10.0.0.6").known)


# -- places for hashing -----------------------------------------------------------------------------


def test_two_at_a_time_the_rest_in_a_short_line_and_no_more():
    places = Places(at_once=2, waiting=3, wait_s=10)
    inside, most, refused, go = [], [], [], threading.Event()

    def one():
        try:
            with places.place(), places.place():  # a second one of the same thread costs nothing
                inside.append(1)
                most.append(len(inside))
                go.wait(10)
                inside.pop()
        except TooBusy as busy:
            refused.append(busy)

    threads = [threading.Thread(target=one) for _ in range(40)]
    for thread in threads:
        thread.start()
    while len(refused) < 35:
        threading.Event().wait(0.005)
    go.set()
    for thread in threads:
        thread.join(10)
    assert (max(most), len(most), len(refused)) == (2, 5, 35)
    assert (refused[0].status, refused[0].retry_after_s) == (503, 2)


def test_who_waits_too_long_is_told_to_come_again():
    places = Places(at_once=1, wait_s=0.01)
    held, go = threading.Event(), threading.Event()

    def hold():
        with places.place():
            held.set()
            go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    with pytest.raises(TooBusy), places.place():
        pass
    go.set()
    thread.join(10)
    with places.place():
        pass


def test_the_hasher_is_argon2_in_a_place_and_reads_what_django_wrote(settings, monkeypatch):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    before = make_password("inspector")
    settings.PASSWORD_HASHERS = ["aivd_web.passwords.BoundedArgon2"]
    monkeypatch.setitem(parts().made, Places, Places(at_once=1, waiting=0, wait_s=0))
    assert check_password("inspector", before)
    monkeypatch.setitem(parts().made, Places, full := Places(at_once=1, waiting=0, wait_s=0))
    full._line.acquire()
    with pytest.raises(TooBusy):
        check_password("inspector", before)
    with pytest.raises(TooBusy):
        BoundedArgon2().encode("inspector", "saltsaltsalt")


# -- the doors --------------------------------------------------------------------------------------


@pytest.fixture
def fresh(redis_server):
    redis_client.get().flushdb()


def try_in(client, door="/sign-in/", name="ada", password="wrong", **more):
    return client.post(door, {"username": name, "password": password}, headers=PAGE, **more)


@pytest.mark.stack
@pytest.mark.django_db
@pytest.mark.parametrize("door", DOORS)
def test_the_sixth_mistake_in_a_row_gets_a_page_that_says_when(cast, fresh, door):
    client = Client()
    answers = [try_in(client, door) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert int(answers[-1]["Retry-After"]) in (1, 2)
    text = answers[-1].content.decode()
    assert "Too many attempts to sign in. Try again in a second." in text
    assert "Traceback" not in text


@pytest.mark.stack
@pytest.mark.django_db
def test_both_doors_share_the_count_and_a_right_password_waits_too(cast, fresh):
    for n in range(6):
        try_in(Client(), DOORS[n % 2])
    assert try_in(Client(), password="ada-password").status_code == 429
    assert try_in(Client(), name="vera", password="vera-password").status_code == 302, "another account is not held up"


@pytest.mark.stack
@pytest.mark.django_db
def test_an_unknown_name_a_disabled_account_and_a_wrong_password_end_alike(cast, fresh):
    cast.bob.is_active = False
    cast.bob.save()
    answers = []
    for name, password in (("vera", "wrong"), ("nobody", "wrong"), ("bob", "bob-password"), ("vera", "w" * 300)):
        tries = [try_in(Client(), name=name, password=password) for _ in range(1)]
        answers.append([(one.status_code, one.context["form"].non_field_errors()) for one in tries])
    assert answers[0] == answers[1] == answers[2] == answers[3]


@pytest.mark.stack
@pytest.mark.django_db
def test_an_unknown_name_costs_as_much_work_as_a_known_one(cast, fresh, settings, monkeypatch):
    """Counted, not timed: one hash each."""
    settings.PASSWORD_HASHERS = ["aivd_web.passwords.BoundedArgon2"]
    cast.vera.set_password("vera-password")
    cast.vera.save()
    worked = []
    for name in ("encode", "verify"):
        was = getattr(BoundedArgon2, name)
        monkeypatch.setattr(BoundedArgon2, name, lambda *args, was=was, name=name: (worked.append(name), was(*args))[1])
    counts = []
    for account, password in (("vera", "wrong"), ("nobody", "wrong"), ("nobody", "x" * 5000), ("vera", "y" * 5000)):
        worked.clear()
        try_in(Client(), name=account, password=password)
        counts.append(len(worked))
    assert counts == [1, 1, 1, 1]


@pytest.mark.stack
@pytest.mark.django_db
@pytest.mark.parametrize("length", [257, 1_000, 100_000, 900_000])
def test_a_password_of_any_length_is_cut_before_it_is_hashed(cast, fresh, monkeypatch, length):
    cast.vera.set_password("v" * passwords.MOST_LETTERS)
    cast.vera.save()
    hashed = []
    was = ModelBackend.authenticate
    monkeypatch.setattr(
        ModelBackend,
        "authenticate",
        lambda self, request, username, password: (
            hashed.append(len(password)) or was(self, request, username=username, password=password)
        ),
    )
    assert try_in(Client(), name="vera", password="v" * length).status_code == 200, "cut, it would be the right one"
    assert hashed == [passwords.MOST_LETTERS]
    assert try_in(Client(), name="vera", password="v" * passwords.MOST_LETTERS).status_code == 302


def test_nobody_is_given_a_password_that_is_too_long():
    MaximumLengthValidator().validate("p" * passwords.MOST_LETTERS)
    with pytest.raises(ValidationError, match="256"):
        MaximumLengthValidator().validate("p" * (passwords.MOST_LETTERS + 1))


@pytest.mark.stack
@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["\x00", "a\x00b", "", " ", "ｆ" * 200, "😀", "\ud800", "' OR 1=1 --", "%00", "a" * 100_000]
)
@pytest.mark.parametrize("door", DOORS)
def test_any_name_is_answered_with_a_page(cast, fresh, name, door):
    body = {"username": name.encode(errors="surrogatepass"), "password": b"x\x00\xff"}
    answer = Client().post(door, body, headers=PAGE)
    assert answer.status_code in (200, 400, 413)


@pytest.mark.stack
@pytest.mark.django_db
def test_the_proxy_says_where_one_comes_from_and_nobody_else_does(cast, fresh, settings):
    def from_behind(forwarded):
        body = {"username": "ada", "password": "wrong"}
        return Client().post("/sign-in/", body, headers=PAGE | {"x-forwarded-for": forwarded}, secure=True).status_code

    answers = [from_behind(f"10.0.0.{n}") for n in range(6)]
    assert answers[-1] == 429, "without a proxy the header is the sender's own invention"
    settings.BEHIND_TLS = True
    assert from_behind("127.0.0.1, 198.51.100.7") == 200


@pytest.mark.stack
@pytest.mark.django_db(transaction=True)
def test_forty_strangers_at_once_cost_two_hashes_at_a_time_and_all_are_answered(cast, fresh, settings, monkeypatch):
    monkeypatch.setitem(parts().made, Places, Places())
    busy, most, lock = [], [], threading.Lock()

    def slow(self, password, encoded):
        with part(Places).place():
            with lock:
                busy.append(1)
                most.append(len(busy))
            threading.Event().wait(0.02)  # stands for the work
            with lock:
                busy.pop()
        return False

    monkeypatch.setattr("django.contrib.auth.hashers.MD5PasswordHasher.verify", slow)
    monkeypatch.setattr("django.contrib.auth.hashers.MD5PasswordHasher.must_update", lambda self, encoded: False)
    statuses = []

    def one(n):
        from django.db import connections

        try:
            statuses.append(try_in(Client(), name="ada", REMOTE_ADDR=f"10.7.{n}.1").status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(most) <= 2
    assert len(statuses) == 40
    assert set(statuses) <= {200, 429, 503}
