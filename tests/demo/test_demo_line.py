"""Generated boards go to the demo line alone: elsewhere they would stand among real parts."""

import pytest

from aivd_web.demo import services
from aivd_web.demo.models import DemoRun
from aivd_web.kernel.errors import Unprocessable
from inspections.models import Line
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def test_a_real_line_gets_no_generated_boards(cast: Cast) -> None:
    with pytest.raises(Unprocessable, match="A is a real line"):
        services.start(station=cast.station, by=cast.alice)
    assert not DemoRun.objects.exists()


def test_the_demo_line_does(cast: Cast) -> None:
    Line.objects.filter(pk=cast.line.pk).update(is_demo=True)
    cast.station.line.refresh_from_db()
    assert services.start(station=cast.station, by=cast.alice).station == cast.station
