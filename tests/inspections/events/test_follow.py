"""Which database a viewer's numbers are from: asked of the database that is there now, not of one that was."""

from collections.abc import Iterator
from copy import deepcopy

import pytest
from django.db import connection, connections
from django.db.utils import ConnectionHandler

from inspections.events import follow


@pytest.fixture
def another_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process goes on, and the address leads to a database that somebody put in the place of the first."""
    swapped = deepcopy(connection.settings_dict) | {"NAME": "postgres"}
    del swapped["OPTIONS"]["pool"]  # Django's pools are known by their alias alone
    handler = ConnectionHandler({"default": swapped})
    yield monkeypatch.setattr(follow, "connections", handler)
    handler.close_all()


@pytest.mark.stack
@pytest.mark.django_db
def test_another_database_in_its_place_is_another_epoch(request: pytest.FixtureRequest) -> None:
    before = follow.epoch()
    request.getfixturevalue("another_database")
    assert follow.epoch() != before


@pytest.mark.stack
@pytest.mark.django_db
def test_a_connection_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    connections["default"].ensure_connection()
    first = follow.epoch()
    monkeypatch.setattr(connections["default"], "cursor", lambda: pytest.fail("asked again"))
    assert follow.epoch() == first
