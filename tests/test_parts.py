"""What a process has one of: made once, when it is asked for, and never all at once."""

import threading

from aivd_web.kernel.parts import Parts
from tests.threads import together


class Lamp:
    pass


class Room:
    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp


def test_a_part_is_made_when_it_is_asked_for_and_once() -> None:
    made = list[str]()

    def lamp() -> Lamp:
        made.append("lamp")
        return Lamp()

    parts = Parts({Lamp: lamp})
    assert not made
    assert len({id(one) for one in together(8, lambda n: parts.get(Lamp))}) == 1
    assert made == ["lamp"]


def test_a_part_may_need_another() -> None:
    parts = Parts({Lamp: Lamp, Room: lambda: Room(parts.get(Lamp))})
    assert parts.get(Room).lamp is parts.get(Lamp)


def test_one_that_is_long_to_make_keeps_no_other_waiting() -> None:
    go = threading.Event()
    parts = Parts({Lamp: Lamp, Room: lambda: Room(Lamp()) if go.wait(60) else None})
    maker = threading.Thread(target=lambda: parts.get(Room))
    maker.start()
    assert parts.get(Lamp)
    assert Room not in parts.made
    go.set()
    maker.join(60)
    assert Room in parts.made


def test_one_that_could_not_be_made_is_tried_again() -> None:
    answers = iter((OSError("The database is away."), Lamp()))

    def lamp() -> Lamp:
        if isinstance(answer := next(answers), OSError):
            raise answer
        return answer

    parts = Parts({Lamp: lamp})
    first, second = together(1, lambda n: parts.get(Lamp)), together(1, lambda n: parts.get(Lamp))
    assert isinstance(first[0], OSError)
    assert isinstance(second[0], Lamp)
