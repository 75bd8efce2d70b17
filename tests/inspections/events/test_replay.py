"""The sequencing core against a channel that drops, repeats and reorders."""

from hypothesis import given
from hypothesis import strategies as st

from inspections.events.replay import Sequencer


def event(seq):
    return {"seq": seq}


def database(head):
    return [event(seq) for seq in range(1, head + 1)]


def numbers(events):
    return [entry["seq"] for entry in events]


class Viewer:
    """What a socket does with the core: send what it says, and read the database while it is behind."""

    def __init__(self, after, head, page=3):
        self.core = Sequencer(after)
        self.head = head
        self.page = page
        self.got = []

    def catch_up(self):
        while self.core.is_behind:
            rows = [row for row in database(self.head) if row["seq"] > self.core.delivered][: self.page]
            self.got += numbers(self.core.read(rows))

    def hear(self, seq):
        self.got += numbers(self.core.live(event(seq)))
        self.catch_up()

    def beat(self):
        self.core.head(self.head)
        self.catch_up()


@st.composite
def stories(draw):
    """Commits happen in order; each is heard late, twice, out of order or never; beats fall anywhere."""
    acts, head, heard = [], draw(st.integers(0, 8)), []
    after = draw(st.integers(0, head))
    for _ in range(draw(st.integers(0, 30))):
        kind = draw(st.sampled_from(["commit", "hear", "beat"]))
        if kind == "commit":
            head += 1
            heard.append(head)
            acts.append(("commit", head))
        elif kind == "hear" and heard:
            acts.append(("hear", draw(st.sampled_from(heard))))
        else:
            acts.append(("beat", None))
    start = head - len(heard)
    return after, start, acts


@given(stories())
def test_a_viewer_gets_every_number_once_and_in_order_whatever_the_channel_does(story):
    after, start, acts = story
    viewer = Viewer(after, start)
    viewer.beat()
    for kind, seq in acts:
        if kind == "commit":
            viewer.head = seq
        elif kind == "hear":
            viewer.hear(seq)
        else:
            viewer.beat()
        assert viewer.got == list(range(after + 1, after + 1 + len(viewer.got)))
    viewer.beat()
    assert viewer.got == list(range(after + 1, viewer.head + 1))


def test_the_next_event_is_passed_on_without_a_look_at_the_database():
    core = Sequencer(4)
    assert numbers(core.live(event(5))) == [5]
    assert not core.is_behind


def test_a_repeat_is_dropped_and_a_gap_asks_for_the_database():
    core = Sequencer(4)
    assert core.live(event(3)) == []
    assert not core.is_behind
    assert core.live(event(7)) == []
    assert (core.is_behind, core.missing) == (True, 3)


def test_numbers_that_are_not_in_the_database_do_not_make_it_read_for_ever():
    core = Sequencer(4)
    core.head(9)
    assert core.read([]) == []
    assert not core.is_behind
