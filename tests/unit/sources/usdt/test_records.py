"""Records taken apart, against a plain reading of the same records one by one."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.sources.usdt.probes import HEADER, PROBES, UNREADABLE
from peerwatch.sources.usdt.records import _MAKERS, RecordReader, Records, headers
from peerwatch.wire.raw import KNOWN_TYPES, OTHER, PAD, UNKNOWN_NAMES
from tests.unit.sources.usdt.by_hand import event, message

WHO = Identity("alice", 5, "usdt")
OFFSET = 1_700_000_000 * SECOND
PROBE_AT, TYPE_AT = HEADER.fields["probe"][1], HEADER.fields["type"][1]  # type: ignore[index]
TXID = bytes(range(32))
OTHER_ID = bytes(range(100, 132))


def laid_out(records: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Buffer, offsets and headers of records as the ring's reader gives them: 8 bytes of its own before each, 8 aligned."""
    parts, offsets, at = [], [], 0
    for record in records:
        offsets.append(at + 8)
        parts.append(b"\xee" * 8 + record.ljust(-(-len(record) // 8) * 8, b"\xee"))
        at += len(parts[-1])
    buf = np.frombuffer(b"".join(parts) + bytes(PAD), np.uint8)
    where = np.array(offsets, np.int64)
    return buf, where, headers(buf, where)


def read(records: list[bytes], reader: RecordReader | None = None) -> Records:
    return (reader or RecordReader(WHO)).read(*laid_out(records), OFFSET)


def rows_of(record: bytes, table: str) -> dict[str, Any]:
    """The one row of one record; that it is the only one, valid, and tied to its event."""
    rows, events = read([record]).merged()
    assert list(rows) == [table]
    assert events[table].tolist() == [0]
    rows[table].validate(full=True)
    (row,) = rows[table].to_pylist()
    assert (row["node"], row["session"], row["source"]) == (WHO.node, WHO.session, WHO.source)
    return filled(row)


def filled(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row that have a value, those of the identity apart."""
    return {name: value for name, value in row.items() if value is not None and name not in ("node", "session", "source")}


AT = {"ts": 7, "seq": 9}
STAMP = {"ts": OFFSET + 7, "seq": 9}


PEER = {"peer": 3, "address": b"192.0.2.1:8333", "conn_type": b"inbound", **AT}
SHOWN = {"peer": 3, "address": "192.0.2.1:8333", "conn_type": "inbound", "inbound": True}
COIN = {"coins": 4, "memory": 5, **AT}
BLOCK = {"height": 8, "transactions": 9, "inputs": 10, "sigops": 11, "duration": 12}
REPLACED = {"vsize": 1, "fee": 2, "replacement": OTHER_ID, "replacement_vsize": 4, "replacement_fee": 5}


@pytest.mark.parametrize(
    ("record", "table", "expected"),
    [
        (
            event("net:inbound_connection", network=1, open_connections=8, **PEER),
            "connection",
            SHOWN | {"event": "opened", "network": "ipv4", "established": OFFSET + 7, "open_connections": 8},
        ),
        (
            event("net:outbound_connection", network=2, open_connections=9, **PEER | {"conn_type": b"feeler"}),
            "connection",
            SHOWN
            | {"event": "opened", "network": "ipv6", "conn_type": "feeler", "inbound": False}
            | {"established": OFFSET + 7, "open_connections": 9},
        ),
        (
            event("net:closed_connection", network=3, established=123, **PEER),
            "connection",
            SHOWN | {"event": "closed", "network": "onion", "established": 123 * SECOND},
        ),
        (
            event("net:evicted_inbound_connection", network=77, established=1, **PEER),
            "connection",
            SHOWN | {"event": "evicted", "network": "unroutable", "established": SECOND},
        ),
        (
            event("described", **PEER | {"conn_type": b"block-relay-only"}),
            "connection",
            SHOWN | {"event": "described", "inbound": False, "conn_type": "block-relay-only"},
        ),
        (
            event("net:misbehaving_connection", peer=3, reason=b"bad \x1b[31m\xff", **AT),
            "connection",
            {"peer": 3, "event": "misbehaving", "reason": "bad \\x1b[31m\\xff"},
        ),
        (
            event("mempool:added", txid=TXID, vsize=-1, fee=1 << 40, **AT),
            "mempool",
            {"event": "added", "txid": TXID, "vsize": -1, "fee": 1 << 40},
        ),
        (
            event("mempool:removed", txid=TXID, reason=b"expiry", vsize=5, fee=6, entered=7, **AT),
            "mempool",
            {"event": "removed", "txid": TXID, "reason": "expiry", "vsize": 5, "fee": 6, "entered": 7 * SECOND},
        ),
        (
            event("mempool:replaced", txid=TXID, entered=3, by_transaction=1, **REPLACED, **AT),
            "mempool",
            {"event": "replaced", "txid": TXID, "entered": 3 * SECOND, "by_transaction": True, **REPLACED},
        ),
        (
            event("mempool:rejected", txid=TXID, reason=b"min-fee", **AT),
            "mempool",
            {"event": "rejected", "txid": TXID, "reason": "min-fee"},
        ),
        (event("validation:block_connected", hash=TXID, **BLOCK, **AT), "block", {"hash": TXID, **BLOCK}),
        (
            event("utxocache:flush", duration=1, mode=3, for_prune=1, **COIN),
            "utxocache",
            {"event": "flush", "duration": 1, "mode": "always", "coins": 4, "memory": 5, "for_prune": True},
        ),
        (
            event("utxocache:flush", duration=-1, mode=9, for_prune=0, **COIN),
            "utxocache",
            {"event": "flush", "duration": -1, "mode": "other", "coins": 4, "memory": 5, "for_prune": False},
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_row_of_each_probe(record: bytes, table: str, expected: dict[str, Any]) -> None:
    """Every argument of a probe lands in its column, with unit and sign, and the record's time and number with it."""
    assert rows_of(record, table) == expected | STAMP


def test_every_probe_becomes_rows_or_messages() -> None:
    """None is left out but the two of messages and those that BPF only counts."""
    expected = {p.full_name for p in PROBES if not p.counted} - {"net:inbound_message", "net:outbound_message"}
    assert _MAKERS.keys() == expected


def test_texts_end_at_their_first_nul() -> None:
    """What is behind the end of a C string in the ring's memory is not part of it, nor is a text that fills its width cut."""
    stale = event("net:misbehaving_connection", peer=1, reason=b"short\0left over from before", **AT)
    assert rows_of(stale, "connection")["reason"] == "short"
    full = event("net:misbehaving_connection", peer=1, reason=b"x" * 128, **AT)
    assert rows_of(full, "connection")["reason"] == "x" * 128


def plain(record: bytes) -> tuple[int, int, int, bool, str, int, bytes, bool]:
    """A message record as struct reads it: ts, seq, peer, inbound, type, size, payload kept, unreadable."""
    ts, seq, peer, size, kept, _slot, probe, flags, kind = struct.unpack("<QQqQIHBB16s", record[: HEADER.itemsize])
    payload = b"" if flags & UNREADABLE else record[HEADER.itemsize : HEADER.itemsize + kept]
    name = kind.split(b"\0")[0].decode("latin-1")
    return ts + OFFSET, seq, peer, probe == 0, name, size, payload, bool(flags & UNREADABLE)


def taken(records: Records) -> list[tuple[int, int, int, bool, str, int, bytes, bool]]:
    """The same of what the reader gave."""
    m = records.messages
    return [
        (
            int(m.ts[i]), int(m.seq[i]), int(m.peer[i]), bool(m.inbound[i]), m.names[m.type[i]], int(m.size[i]),
            m.buf[m.start[i] : m.start[i] + m.kept[i]].tobytes(), bool(m.unreadable[i]),
        )
        for i in range(len(m))
    ]  # fmt: skip


kinds = st.sampled_from([*KNOWN_TYPES, "new", "twelve-bytes", "PING", "ping2", OTHER])
messages = st.builds(
    lambda way, payload, kind, cut, flags, ts, peer: message(
        way, payload, type=kind, size=len(payload) + cut, flags=flags, ts=ts, peer=peer
    ),
    st.sampled_from(["inbound", "outbound"]),
    st.binary(max_size=70),
    kinds,
    st.sampled_from([0, 0, 1, 4_000_000]),
    st.sampled_from([0, 0, 0, UNREADABLE]),
    st.integers(0, 1 << 50),
    st.integers(-1, 1 << 40),
)
others = st.sampled_from(
    [
        event("net:inbound_connection", peer=3, address=b"192.0.2.1:8333", conn_type=b"inbound", network=1),
        event("net:misbehaving_connection", peer=3, reason=b"why"),
        event("mempool:added", txid=TXID, vsize=1, fee=2),
        event("mempool:rejected", txid=TXID, reason=b"dust"),
        event("utxocache:flush", duration=1, mode=0, coins=4, memory=5, for_prune=0),
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(messages, messages, others), min_size=1, max_size=40))
def test_any_mix_is_read_as_one_by_one(records: list[bytes]) -> None:
    """Messages come out as struct reads them, in order; events number the records; rows of one table are in order of arrival."""
    made = read(records)
    said = [i for i, record in enumerate(records) if record[PROBE_AT] < 2]
    assert taken(made) == [plain(records[i]) for i in said]
    assert made.message_events.tolist() == said
    rows, events = made.merged()
    assert sorted([*said, *(i for numbers in events.values() for i in numbers.tolist())]) == list(range(len(records)))
    for name, batch in rows.items():
        assert (np.diff(events[name]) > 0).all()
        alone = [rows_of(records[i], name) for i in events[name].tolist()]
        assert [filled(row) for row in batch.to_pylist()] == alone


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(messages, st.booleans()), min_size=1, max_size=30))
def test_types_do_not_depend_on_batches(cut: list[tuple[bytes, bool]]) -> None:
    """A reader that gets records in pieces gives each type the code it would have had in one piece."""
    records = [r for r, _ in cut]
    whole = read(records).messages
    reader = RecordReader(WHO)
    codes: list[int] = []
    piece: list[bytes] = []
    for record, end in cut:
        piece.append(record)
        if end or record is records[-1]:
            codes += read(piece, reader).messages.type.tolist()
            piece = []
    codes += read(piece, reader).messages.type.tolist() if piece else []
    assert codes == whole.type.tolist()
    assert reader.names.names == whole.names


def test_invented_types_are_bounded() -> None:
    """Beyond the bound new types become one, whether they come one by one or all at once, and known ones stay known."""
    names = [f"t{i:010d}" for i in reversed(range(UNKNOWN_NAMES + 50))]
    records = [message("inbound", b"", type=name) for name in [*names, "ping"]]
    expected = names[:UNKNOWN_NAMES] + [OTHER] * 50 + ["ping"]
    at_once = read(records).messages
    assert [at_once.names[c] for c in at_once.type] == expected
    reader = RecordReader(WHO)
    for record, name in zip(records, expected, strict=True):
        one = read([record], reader).messages
        assert one.names[one.type[0]] == name


def test_a_type_that_is_not_printable_is_escaped() -> None:
    """Whatever a peer put into the 12 bytes is shown as text, up to the first NUL."""
    raw = np.frombuffer(bytearray(message("inbound", b"")), np.uint8)
    raw[TYPE_AT:][:6] = list(b"a\x1b\xff\\\0b")
    made = read([raw.tobytes()]).messages
    assert made.names[made.type[0]] == "a\\x1b\\xff\\x5c"


def test_a_record_may_end_with_the_buffer() -> None:
    """The shortest body and none at all are read although only the padding follows them."""
    made = read(
        [message("inbound", b"", type="verack"), event("mempool:added", txid=TXID, vsize=1, fee=2), message("outbound", b"z")]
    )
    assert [p[6] for p in taken(made)] == [b"", b"z"]


def test_labels_of_different_probes_are_merged() -> None:
    """Rows of one table from several probes have one dictionary, and keep their texts."""
    rows, _ = read(
        [
            event("net:closed_connection", peer=1, address=b"a", conn_type=b"feeler", network=1),
            event("described", peer=2, address=b"b", conn_type=b"inbound"),
            event("net:closed_connection", peer=3, address=b"c", conn_type=b"manual", network=2),
        ]
    ).merged()
    batch = rows["connection"]
    assert isinstance(batch, pa.RecordBatch)
    assert batch.column("event").to_pylist() == ["closed", "described", "closed"]
    assert batch.column("conn_type").to_pylist() == ["feeler", "inbound", "manual"]
    assert batch.column("network").to_pylist() == ["ipv4", None, "ipv6"]
