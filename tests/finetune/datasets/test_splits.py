"""Splits keep together what belongs together, have every class in each, and are the same each time."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from finetune.datasets.splits import Candidate, alike, divide


def board(number: int, cut: int, **more: object) -> Candidate:
    return Candidate(f"{number:03}-{cut}", {"open": 1}, group=f"board {number}", **more)  # type: ignore[arg-type]


def test_a_boards_pictures_stay_together() -> None:
    candidates = [board(number, cut) for number in range(20) for cut in range(3)]

    division = divide(candidates, seed=1)

    by_board: dict[str, set[str]] = {}
    for one in candidates:
        by_board.setdefault(one.group, set()).add(division.splits[one.key])
    assert all(len(splits) == 1 for splits in by_board.values())
    assert Counter(division.splits.values()) == {"train": 42, "val": 9, "test": 9}


def test_pictures_that_look_alike_stay_together() -> None:
    looks = ["00000000000000ff", "00000000000000f0", "ffffffff00000000", "00000000000000fc", ""]

    assert alike(looks) == [(0, 3), (1, 3)]  # 2 bits and 2 bits apart; 0 and 1 are 4 apart, and joined by 3

    division = divide([Candidate(str(n), look=look) for n, look in enumerate(looks)], seed=0)
    assert division.groups == 3
    assert division.splits["0"] == division.splits["1"] == division.splits["3"]


def test_a_product_that_always_looks_alike_is_still_divided() -> None:
    looks = [f"{(1 << n % 3) - 1:016x}" for n in range(60)]

    division = divide([Candidate(f"{n:02}", {"open": 1}, look=look) for n, look in enumerate(looks)], seed=0)

    assert division.groups == 3  # of the very same hash
    assert len(set(division.splits.values())) == 3


def test_a_rare_class_is_in_every_split() -> None:
    common = [Candidate(f"c{n}", {"open": 1}) for n in range(200)]
    rare = [Candidate(f"r{n}", {"open": 3, "short": 1}) for n in range(6)]

    division = divide([*common, *rare], seed=3)

    assert {division.splits[one.key] for one in rare} == {"train", "val", "test"}


def test_pictures_without_defects_are_divided_too() -> None:
    candidates = [Candidate(f"g{n}") for n in range(40)] + [Candidate(f"d{n}", {"open": 1}) for n in range(40)]

    splits = divide(candidates, seed=5).splits

    good = Counter(split for key, split in splits.items() if key.startswith("g"))
    assert good == {"train": 28, "val": 6, "test": 6}


def test_the_same_seed_divides_alike_whatever_the_order() -> None:
    candidates = [board(number, 0) for number in range(30)]

    assert divide(candidates, seed=7).splits == divide(list(reversed(candidates)), seed=7).splits
    assert divide(candidates, seed=7).splits != divide(candidates, seed=8).splits


def test_stated_splits_are_kept_and_val_is_taken_from_train() -> None:
    candidates = [board(n, 0, stated="train" if n < 20 else "test") for n in range(30)]

    splits = divide(candidates, seed=1).splits

    assert all(splits[one.key] == "test" for one in candidates if one.stated == "test")
    assert Counter(splits[one.key] for one in candidates if one.stated == "train") == {"train": 16, "val": 4}


def test_stated_splits_that_tear_a_board_apart_are_counted() -> None:
    candidates = [board(1, 0, stated="train"), board(1, 1, stated="test"), board(2, 0, stated="val")]

    division = divide(candidates, seed=1)

    assert division.leaks == 1
    assert division.splits == {"001-0": "train", "001-1": "test", "002-0": "val"}


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["", "open", "short"])), max_size=60),
    st.integers(0, 1000),
)
def test_every_picture_is_in_just_one_split(given_items: list[tuple[int, str]], seed: int) -> None:
    candidates = [
        Candidate(str(n), {name: 1} if name else {}, group=f"g{group}") for n, (group, name) in enumerate(given_items)
    ]

    division = divide(candidates, seed=seed)

    assert set(division.splits) == {one.key for one in candidates}
    for one in candidates:
        for other in candidates:
            assert one.group != other.group or division.splits[one.key] == division.splits[other.key]
