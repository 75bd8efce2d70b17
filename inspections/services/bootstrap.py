"""The first site of a new installation: a line of bare printed circuit boards, to have something to look at."""

from django.db import transaction

from inspections.models import EventHead, Line, Site, Station
from scheduling.serving.contracts import SHIPPED_CLASSES, SHIPPED_PRODUCT

from . import vocabulary


@transaction.atomic
def ensure_first_site() -> Station | None:
    """Make the demo site where there is no Site yet; return its station, or None where there was one."""
    if Site.objects.exists():
        return None
    site = Site.objects.create(name="Demo plant")
    line = add_line(site=site, name="Board line 1", is_demo=True)
    return Station.objects.create(line=line, name="Camera 1", product=SHIPPED_PRODUCT)


@transaction.atomic
def add_line(*, site: Site, name: str, is_demo: bool = False) -> Line:
    """A line with the shipped detector's vocabulary."""
    line = Line.objects.create(site=site, name=name, is_demo=is_demo)
    EventHead.objects.create(line=line)
    vocabulary.write(line=line, entries=[vocabulary.ClassName(*entry) for entry in SHIPPED_CLASSES.items()])
    return line
