"""Answers of `getaddrmaninfo` and `getrawaddrman`."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.peers.addrman_entries import FIRST_TRIED
from peerwatch.peers.origins import Origins
from peerwatch.schema.batch import SECOND
from peerwatch.schema.tables.addrman_entry import AddrmanEntry
from peerwatch.schema.tables.addrman_state import AddrmanState
from peerwatch.schema.tables.addrman_table import AddrmanTable
from peerwatch.schema.tables.loss import Loss
from peerwatch.sources.gathered import Gathered
from peerwatch.sources.rpc._api import Answer, Known
from peerwatch.sources.rpc.readers.addrman import Addrman, read_tables

NOW = 1_760_000_000 * SECOND
ONION = "kpgvmscirrdqpekbqjsvw5teanhatztpp2gl6eee4zkowvwfxwenqaid.onion"
ENTRY = {
    "address": "1.2.3.4",
    "mapped_as": 64_500,
    "port": 8333,
    "network": "ipv4",
    "services": 1033,
    "time": 1_759_999_000,
    "source": ONION,
    "source_network": "onion",
}
"""As Core 28 writes it; `source_mapped_as` is only there where it is known."""


def answer(new: dict[str, Any], tried: dict[str, Any] | None = None, at: int = NOW) -> Answer:
    """An answer of `getrawaddrman`."""
    return Answer("getrawaddrman", json.dumps({"new": new, "tried": tried or {}}).encode(), at - SECOND, at)


def read(reader: Addrman, *answers: Answer) -> dict[str, list[dict[str, Any]]]:
    """Rows of answers by table, as they would be recorded."""
    gathered = Gathered("alice", "rpc", NOW)
    for each in answers:
        for rows in reader.read(each):
            assert rows[0] in (*reader.tables, Loss)
            gathered.add_rows(rows)
    (chunk,) = gathered.take(NOW)
    for batch in chunk.rows.values():
        batch.validate(full=True)
    return {name: batch.to_pylist() for name, batch in chunk.rows.items()}


@pytest.fixture
def reader() -> Addrman:
    """A reader that has read nothing."""
    return Addrman(Known())


def test_an_entry(reader: Addrman) -> None:
    """Every field of an entry goes to its column; a first answer is told whole."""
    rows = read(reader, answer({}, {"255/63": ENTRY}))
    (row,) = rows["addrman_entry"]
    assert (
        row
        | {
            "ts": NOW,
            "event": "present",
            "table": "tried",
            "bucket": 255,
            "position": 63,
            "address": "1.2.3.4",
            "port": 8333,
            "network": "ipv4",
            "services": 1033,
            "time": 1_759_999_000,
            "netgroup": "1.2.0.0/16",
            "asn": 64_500,
            "from_address": ONION,
            "from_network": "onion",
            "from_netgroup": "onion:5",
            "from_asn": None,
            "old_table": None,
            "old_bucket": None,
            "old_position": None,
            "old_services": None,
            "old_time": None,
        }
        == row
    )
    new, tried = rows["addrman_table"]
    assert (new["table"], new["entries"]) == ("new", 0)
    assert (tried["table"], tried["entries"], tried["age_median"]) == ("tried", 1, 1000)
    assert "loss" not in rows


def test_a_following_answer_tells_what_changed(reader: Addrman) -> None:
    """Later answers give rows of changes only, at their time, and a summary each."""
    later = NOW + 300 * SECOND
    other = ENTRY | {"address": "5.6.7.8"}
    rows = read(
        reader,
        answer({"0/0": ENTRY, "7/7": other}),
        answer({"0/0": ENTRY, "7/7": other}),
        answer({"7/7": other}, {"3/4": ENTRY}, later),
    )
    events = [(row["ts"], row["event"], row["address"]) for row in rows["addrman_entry"]]
    assert events == [(NOW, "present", "1.2.3.4"), (NOW, "present", "5.6.7.8"), (later, "to_tried", "1.2.3.4")]
    last = rows["addrman_entry"][-1]
    assert (last["old_table"], last["old_bucket"], last["old_position"]) == ("new", 0, 0)
    assert [row["moved"] for row in rows["addrman_table"]] == [0, 0, 0, 0, 0, 1]


def test_the_map_of_ours_tells_what_the_node_does_not() -> None:
    """The node's own autonomous system counts, else ours."""
    reader = Addrman(Known(origins=Origins(asn_of={"5.6.7.8": 64_777}.get)))
    other = ENTRY | {"address": "5.6.7.8", "mapped_as": 0}
    without = {name: value for name, value in other.items() if name != "mapped_as"}
    rows = read(reader, answer({"0/0": ENTRY, "0/1": other, "0/2": without}))["addrman_entry"]
    assert [row["asn"] for row in rows] == [64_500, 64_777, 64_777]


WRONG: dict[str, tuple[str, Any]] = {
    "no such bucket": ("1024/0", ENTRY),
    "no such position": ("0/64", ENTRY),
    "negative": ("-1/0", ENTRY),
    "leading zero": ("00/0", ENTRY),
    "no place": ("x", ENTRY),
    "a place and more": ("0/0\n", ENTRY),
    "no entry": ("0/0", None),
    "a field is missing": ("0/0", {name: value for name, value in ENTRY.items() if name != "source"}),
    "long address": ("0/0", ENTRY | {"address": "a" * 65}),
    "empty address": ("0/0", ENTRY | {"address": ""}),
    "control characters": ("0/0", ENTRY | {"address": "1.2.3.4\x1b[2J"}),
    "a line more": ("0/0", ENTRY | {"address": "1.2.3.4\n"}),
    "not ASCII": ("0/0", ENTRY | {"source": "１.2.3.4"}),  # noqa: RUF001 - that is the point
    "strange network": ("0/0", ENTRY | {"network": "IPv4 "}),
    "strange network of its source": ("0/0", ENTRY | {"source_network": "x" * 33}),
    "a port beyond 65535": ("0/0", ENTRY | {"port": 65_536}),
    "negative services": ("0/0", ENTRY | {"services": -1}),
    "65 bits of services": ("0/0", ENTRY | {"services": 1 << 64}),
    "a time beyond 63 bits": ("0/0", ENTRY | {"time": 1 << 63}),
    "a time before 1970": ("0/0", ENTRY | {"time": -1}),
    "a fraction": ("0/0", ENTRY | {"time": 0.5}),
    "a system beyond 32 bits": ("0/0", ENTRY | {"mapped_as": 1 << 32}),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_is_left_out_and_counted(reader: Addrman, case: str) -> None:
    """One such entry takes no other with it, in either way of decoding."""
    key, entry = WRONG[case]
    good = {"9/9": ENTRY | {"services": 2**64 - 1}}
    rows = read(reader, answer({key: entry, **good}, {"8/8": ENTRY | {"address": "5.6.7.8"}}))
    assert [(row["bucket"], row["services"]) for row in rows["addrman_entry"]] == [(9, 2**64 - 1), (8, 1033)]
    (loss,) = rows["loss"]
    assert (loss["kind"], loss["probe"], loss["count"]) == ("unreadable", "getrawaddrman", 1)
    assert (loss["first_ts"], loss["last_ts"]) == (NOW - SECOND, NOW)


def test_what_stays_unreadable_is_said_once(reader: Addrman) -> None:
    """Such entries are in every answer for weeks: only another number of them is said."""
    one = answer({"x": ENTRY})
    two = answer({"x": ENTRY, "y": ENTRY})
    rows = read(reader, one, one, two, two, answer({}), one)
    assert [row["count"] for row in rows["loss"]] == [1, 2, 1]


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b'{"new": {}}', b'{"new": {}, "tried": []}', b'{"new": {}, "tried": {'])
def test_what_is_no_answer_is_refused(reader: Addrman, text: bytes) -> None:
    """It raises, and the state before stays: nothing looks as if it had been evicted."""
    read(reader, answer({"0/0": ENTRY}))
    with pytest.raises(msgspec.DecodeError):
        reader.read(Answer("getrawaddrman", text, NOW, NOW))
    assert "addrman_entry" not in read(reader, answer({"0/0": ENTRY}))


@given(
    st.dictionaries(
        st.one_of(st.text(max_size=8), st.from_regex(r"\A\d{1,4}/\d{1,2}\Z")),
        st.fixed_dictionaries(
            {name: st.one_of(st.just(value), st.text(max_size=70), st.integers(), st.none()) for name, value in ENTRY.items()}
        ),
    )
)
def test_whatever_entries_have_none_is_lost_without_being_counted(new: dict[str, Any]) -> None:
    """Entries read and entries counted as unreadable are all that there are, and those read are within their bounds."""
    entries, lost = read_tables(answer(new).result)
    assert len(entries) + lost == len(new)
    assert all(0 <= place < FIRST_TRIED for place in entries["place"].to_pylist())
    for text in entries["address"].to_pylist() + entries["from_address"].to_pylist():
        assert text.isascii()
        assert text.isprintable()
        assert 1 <= len(text) <= 64


def test_numbers_by_network(reader: Addrman) -> None:
    """`getaddrmaninfo` gives a row for each network and one for all; what it lacks is null, and said."""
    networks = {"ipv4": {"new": 5, "tried": 2, "total": 7}, "all_networks": {"new": 5, "tried": 2, "total": 7}}
    info = Answer("getaddrmaninfo", json.dumps(networks).encode(), NOW, NOW)
    rows = read(reader, info)["addrman_state"]
    assert [(row["ts"], row["network"], row["new"], row["tried"]) for row in rows] == [
        (NOW, "ipv4", 5, 2),
        (NOW, "all_networks", 5, 2),
    ]
    assert reader.lacking() == []
    less = Answer("getaddrmaninfo", b'{"ipv4": {"new": 5}}', NOW, NOW)
    assert [row["tried"] for row in read(reader, less)["addrman_state"]] == [None]
    assert reader.lacking() == ["getaddrmaninfo.tried"]


@pytest.mark.parametrize("text", [b"[]", b'{"ipv4": 5}', b'{"ipv4": {"new": -1}}', b'{"ipv4\\n": {"new": 1}}'])
def test_numbers_that_are_none_are_refused(reader: Addrman, text: bytes) -> None:
    """Nothing but counts, under names of networks."""
    with pytest.raises(msgspec.DecodeError):
        reader.read(Answer("getaddrmaninfo", text, NOW, NOW))


def test_what_is_asked(reader: Addrman) -> None:
    """Both calls came with Core 26, and the long list is asked for seldom: peers wait for the node's lock meanwhile."""
    assert {(each.method, each.since) for each in reader.requests} == {("getrawaddrman", 260_000), ("getaddrmaninfo", 260_000)}
    assert next(each.every_s for each in reader.requests if each.method == "getrawaddrman") >= 120
    assert set(reader.tables) == {AddrmanEntry, AddrmanTable, AddrmanState}
