"""The rules of `peerwatch.peers.addrman_changes` for reading: plain dictionaries, one place after the other.

A state has an entry for each place that is taken; a place is (0 for `new` or 1 for `tried`, bucket, position). A row has the
event, the place, the entry, and what was before: place, services and time, each None where it was not another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Place = tuple[int, int, int]
NEW, TRIED = 0, 1
ORDER = ("evicted", "replaced", "to_tried", "to_new", "moved", "inserted", "updated")


class Entry(NamedTuple):
    """An entry at a place."""

    address: str
    port: int
    source: str
    services: int
    time: int

    @property
    def name(self) -> tuple[Any, ...]:
        """What makes it this address."""
        return self[:2]

    @property
    def identity(self) -> tuple[Any, ...]:
        """What makes it this entry."""
        return self[:3]


State = dict[Place, Entry]


class Row(NamedTuple):
    """A row of `addrman_entry`."""

    event: str
    place: Place
    entry: Entry
    old_place: Place | None = None
    old_services: int | None = None
    old_time: int | None = None


def settled(state: State) -> State:
    """An address that is in both tables is in `tried`."""
    tried = {entry.name for place, entry in state.items() if place[0] == TRIED}
    return {place: entry for place, entry in sorted(state.items()) if place[0] == TRIED or entry.name not in tried}


def present(state: State) -> list[Row]:
    """The rows of a first state."""
    return [Row("present", place, entry) for place, entry in sorted(state.items())]


def difference(old: State, new: State) -> list[Row]:
    """The rows between two settled states."""
    stayed = [place for place in sorted(new) if place in old and old[place].identity == new[place].identity]
    went = {place: old[place] for place in sorted(old) if place not in stayed}
    came = {place: new[place] for place in sorted(new) if place not in stayed}
    rows = [*_crossed(went, came), *_moved(went, came)]
    rows += [Row("replaced" if place in new else "evicted", place, entry) for place, entry in went.items()]
    rows += [Row("inserted", place, entry) for place, entry in came.items()]
    rows += [_row("updated", place, new[place], place, old[place]) for place in stayed if new[place] != old[place]]
    return sorted(rows, key=lambda row: (ORDER.index(row.event), row.place))


def _crossed(went: State, came: State) -> list[Row]:
    """Take out what is in the other table now."""
    rows = []
    for name in {entry.name for entry in came.values()}:
        after = [place for place, entry in came.items() if entry.name == name]
        before = [place for place, entry in went.items() if entry.name == name]
        if before and before[0][0] != after[0][0]:
            event = "to_tried" if after[0][0] == TRIED else "to_new"
            rows.append(_row(event, after[0], came.pop(after[0]), before[0], went[before[0]]))
            for place in before if event == "to_tried" else before[:1]:
                del went[place]
    return rows


def _moved(went: State, came: State) -> list[Row]:
    """Take out what is elsewhere in its table now, at as many places."""
    rows = []
    for identity, table in {(entry.identity, place[0]) for place, entry in came.items()}:
        after = [place for place, entry in came.items() if entry.identity == identity and place[0] == table]
        before = [place for place, entry in went.items() if entry.identity == identity and place[0] == table]
        if len(after) == len(before):
            rows += [_row("moved", a, came.pop(a), b, went.pop(b)) for a, b in zip(after, before, strict=True)]
    return rows


def _row(event: str, place: Place, entry: Entry, before: Place, was: Entry) -> Row:
    return Row(
        event,
        place,
        entry,
        None if before == place else before,
        None if was.services == entry.services else was.services,
        None if was.time == entry.time else was.time,
    )


def rebuilt(old: State, rows: Iterable[Row]) -> State:
    """The state that rows make of another, taken one by one."""
    state = dict(old)

    def clear(place: Place | None, is_it: Callable[[Entry], bool]) -> None:
        if place in state and is_it(state[place]):
            del state[place]

    for row in rows:
        entry = row.entry
        if row.event in ("evicted", "replaced"):
            clear(row.place, lambda _: True)
            continue
        if row.event == "to_tried":
            for place in [place for place in state if place[0] == NEW]:
                clear(place, lambda other, name=entry.name: other.name == name)
        elif row.event == "to_new":
            clear(row.old_place, lambda other, name=entry.name: other.name == name)
        elif row.event == "moved":
            clear(row.old_place, lambda other, identity=entry.identity: other.identity == identity)
        state[row.place] = entry
    return state
