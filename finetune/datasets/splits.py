"""Divide pictures into train, val and test. Pure; the same pictures and seed always give the same splits.

What belongs together stays together: pictures of one board or sequence, and pictures that look nearly the same.
Groups are dealt out one after the other, those with the rarest classes first, each to the split that lacks most of
what it holds (iterative stratification, Sechidis et al., 2011).
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

ALIKE_BITS = 3
"""Pictures whose hashes of 63 bits differ in no more than this are nearly the same."""
SHARES: Mapping[str, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
GOOD = ""
"""Stands for a class where a picture shows no defect, so that these are divided evenly too."""
MOST_ALIKE = 0.1
"""Where more than this share of all pictures hang together by their looks, that is how the product looks and tells
nothing of copies: of those only pictures with the very same hash stay together."""
BLOCK = 1024


@dataclass(frozen=True)
class Candidate:
    """A picture to be placed: `classes` counts its regions, `stated` is the split that its source gave it."""

    key: str
    classes: Mapping[str, int] = field(default_factory=dict)
    group: str = ""
    look: str = ""
    stated: str = ""


@dataclass(frozen=True)
class Division:
    """`splits` by key; `leaks` counts the groups that stated splits tear apart."""

    splits: Mapping[str, str]
    groups: int
    leaks: int


def divide(
    candidates: Sequence[Candidate], *, seed: int, shares: Mapping[str, float] = SHARES, keep_stated: bool = True
) -> Division:
    """Where each picture goes. Stated splits are kept where `keep_stated`; one that nobody stated is taken from train.

    A group some of whose pictures are stated is theirs as a whole, where they agree.
    """
    groups = grouped(candidates)
    splits: dict[str, str] = {}
    free: list[list[Candidate]] = []
    leaks = 0
    for group in groups:
        stated = {one.stated for one in group if one.stated} if keep_stated else set()
        leaks += len(stated) > 1
        if not stated:
            free.append(group)
        for one in group if stated else ():
            splits[one.key] = one.stated or min(stated)
    wanted = {name: share for name, share in shares.items() if share > 0}
    if splits:
        free, splits, wanted = _with_lacking_split(candidates, groups, free, splits, wanted)
    splits |= _dealt(free, seed=seed, shares=wanted, before=_tally(candidates, splits))
    return Division(splits, len(groups), leaks)


def _with_lacking_split(
    candidates: Sequence[Candidate],
    groups: Sequence[list[Candidate]],
    free: list[list[Candidate]],
    splits: dict[str, str],
    wanted: dict[str, float],
) -> tuple[list[list[Candidate]], dict[str, str], dict[str, float]]:
    """A source that states train and test alone has its val taken from train, group by group; test is never touched."""
    if "val" in splits.values() or "val" not in wanted:
        return free, splits, wanted
    again = [group for group in groups if {splits.get(one.key) for one in group} == {"train"}]
    kept = {key: split for key, split in splits.items() if key not in {one.key for group in again for one in group}}
    if free:
        return [*free, *again], kept, wanted
    both = wanted["train"] + wanted["val"]
    return again, kept, {"train": wanted["train"] / both, "val": wanted["val"] / both}


def _tally(candidates: Sequence[Candidate], splits: Mapping[str, str]) -> dict[str, Counter[str]]:
    tally: dict[str, Counter[str]] = {}
    for one in candidates:
        if one.key in splits:
            tally.setdefault(splits[one.key], Counter()).update(_held([one]))
    return tally


def _dealt(
    groups: Sequence[list[Candidate]], *, seed: int, shares: Mapping[str, float], before: Mapping[str, Counter[str]]
) -> dict[str, str]:
    """Each group to the split that lacks most of what it holds; `before` is what splits have already."""
    names = sorted(shares, key=lambda name: -shares[name])
    total = Counter[str]()
    for group in groups:
        total += _held(group)
    for name in names:
        total += before.get(name, Counter())
    have = {name: Counter(before.get(name, {})) for name in names}
    dealt: dict[str, str] = {}
    for group in _in_order(groups, total, seed):
        held = _held(group)
        name = max(names, key=lambda split: _lack(held, total, have[split], shares[split]))
        have[name] += held
        dealt |= {one.key: name for one in group}
    return dealt


def _in_order(groups: Sequence[list[Candidate]], total: Counter[str], seed: int) -> list[list[Candidate]]:
    """By the rarest class in it, then the largest first; what is equal in both, by chance."""
    shuffled = sorted(groups, key=lambda group: group[0].key)
    random.Random(seed).shuffle(shuffled)
    return sorted(shuffled, key=lambda group: (min(total[name] for name in _held(group)), -len(group)))


def _lack(held: Counter[str], total: Counter[str], have: Counter[str], share: float) -> float:
    """How much of its share a split still lacks, over the classes that the group holds; the rare ones count more."""
    return sum((share * total[name] - have[name]) / total[name] / share for name in held) / len(held)


def _held(group: Sequence[Candidate]) -> Counter[str]:
    held = Counter[str]()
    for one in group:
        held.update(one.classes if one.classes else {GOOD: 1})
    return held


# -- what belongs together --------------------------------------------------------------------------


def grouped(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """The candidates in groups, by their names for one and by how they look."""
    parents = _by_look([one.look for one in candidates])
    named: dict[str, int] = {}
    for index, one in enumerate(candidates):
        if one.group:
            _join(parents, index, named.setdefault(one.group, index))
    groups: dict[int, list[Candidate]] = {}
    for index, one in enumerate(candidates):
        groups.setdefault(_root(parents, index), []).append(one)
    return list(groups.values())


def _by_look(looks: Sequence[str]) -> list[int]:
    """For each picture another one that it stays with, or itself."""
    parents = list(range(len(looks)))
    pairs = alike(looks)
    for one, other in pairs:
        _join(parents, one, other)
    sizes = Counter(_root(parents, index) for index in parents)
    most = max(MOST_ALIKE * len(looks), 10)
    crowded = {index for index in range(len(looks)) if sizes[_root(parents, index)] > most}
    kept = list(range(len(looks)))
    for one, other in pairs:
        if one not in crowded or looks[one] == looks[other]:
            _join(kept, one, other)
    return kept


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def _join(parents: list[int], one: int, other: int) -> None:
    parents[_root(parents, one)] = _root(parents, other)


def alike(looks: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of indices whose hashes differ in few bits; an empty hash is like no other."""
    known = [index for index, look in enumerate(looks) if look]
    values = np.array([int(looks[index], 16) for index in known], dtype=np.uint64)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(known), BLOCK):
        block = values[start : start + BLOCK]
        apart = (block[:, None] ^ values[None, :]).view(np.uint8).reshape(len(block), len(values), 8)
        near = np.unpackbits(apart, axis=2).sum(axis=2) <= ALIKE_BITS
        for row, column in zip(*np.nonzero(near), strict=True):
            if start + row < column:
                pairs.append((known[start + int(row)], known[int(column)]))
    return pairs
