"""The layout engine, primitive by primitive."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from peerwatch.wire.dissector import Payloads, WireError
from peerwatch.wire.layout import Cursor, Entries, fields, matrix, numbered
from peerwatch.wire.raw import PAD

NONE, TRUNCATED, TRAILING, OVER_LIMIT, NON_CANONICAL = (
    WireError.NONE, WireError.TRUNCATED, WireError.TRAILING, WireError.OVER_LIMIT, WireError.NON_CANONICAL,
)  # fmt: skip


def payloads(*kept: bytes, cut: int = 0) -> Payloads:
    """Payloads that lie one after the other; `cut` bytes of each were sent and not kept."""
    lengths = np.array([len(k) for k in kept], np.int64)
    buf = np.frombuffer(b"".join(kept) + bytes(PAD), np.uint8)
    start = np.cumsum(lengths) - lengths
    return Payloads(buf, start, lengths, lengths + cut, np.zeros(len(kept), np.int16), ["inv"], b"")


def cut_to(most: int, *sent: bytes) -> Payloads:
    """Payloads of which at most the first `most` bytes were kept; other bytes lie where the rest was."""
    start = np.cumsum([0, *(len(s) for s in sent)])[:-1]
    size = np.array([len(s) for s in sent], np.int64)
    kept = np.minimum(size, most)
    buf = np.frombuffer(b"".join(s[:most].ljust(len(s), b"\x5a") for s in sent) + bytes(PAD), np.uint8)
    return Payloads(buf, start, kept, size, np.zeros(len(sent), np.int16), ["inv"], b"")


def over(*kept: bytes, cut: int = 0) -> Cursor:
    return Cursor.over(payloads(*kept, cut=cut))


def test_numbers_have_width_sign_and_byte_order() -> None:
    """Each number is read with its width, sign and byte order, and the next begins behind it."""
    c = over(bytes(range(0xF0, 0xF0 + 16)) + bytes(range(11)))
    assert c.u8().tolist() == [0xF0]
    assert c.u16be().tolist() == [0xF1F2]
    assert c.u32().tolist() == [0xF6F5F4F3]
    assert c.i32().tolist() == [int.from_bytes(bytes(range(0xF7, 0xFB)), "little", signed=True)]
    assert c.u64().tolist() == [0x0201_00FF_FEFD_FCFB]
    assert c.i64().tolist() == [0x0A09_0807_0605_0403]
    assert c.finish().tolist() == [NONE]


def test_numbers_have_the_type_that_tables_store() -> None:
    """Values come in the machine's byte order and exact width."""
    c = over(bytes(60))
    types = [c.u8().dtype, c.u16be().dtype, c.u32().dtype, c.i32().dtype, c.u64().dtype, c.i64().dtype]
    assert types == [np.uint8, np.uint16, np.uint32, np.int32, np.uint64, np.int64]


def test_a_short_payload_stops_alone() -> None:
    """One that ends inside a field is truncated and reads as zero from there on; its neighbours go on."""
    c = over(b"\1\0\0\0\7", b"\1\0\0", b"\2\0\0\0\x08")
    assert c.u32().tolist() == [1, 0, 2]
    assert c.live.tolist() == [True, False, True]
    assert c.u8().tolist() == [7, 0, 8]
    assert c.finish().tolist() == [NONE, TRUNCATED, NONE]


def test_what_we_cut_is_no_error() -> None:
    """Running out of kept bytes stops reading, and only that."""
    c = over(b"\1\0\0", cut=9)
    c.u32()
    assert c.live.tolist() == [False]
    assert c.finish().tolist() == [NONE]


def test_bytes_left_are_trailing_even_if_we_cut_them() -> None:
    """The size on the wire tells of trailing bytes, whether they were kept or not."""
    for cut in (0, 5):
        c = over(b"\1\2", cut=cut)
        c.u8()
        assert c.finish().tolist() == [TRAILING]


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("00", 0),
        ("fc", 252),
        ("fdfd00", 253),
        ("fdffff", 0xFFFF),
        ("fe00000100", 1 << 16),
        ("feffffffff", 0xFFFFFFFF),
        ("ff0000000001000000", 1 << 32),
        ("ffffffffffffffffff", 2**64 - 1),
    ],
)
def test_compact_size(encoded: str, value: int) -> None:
    """Every width is read in full, the next field begins behind it, and each strict prefix is truncated."""
    whole = bytes.fromhex(encoded)
    c = over(whole + b"\x2a", b"\x05\x2b", whole + b"\x2c")
    assert c.compact_size().tolist() == [value, 5, value]
    assert c.u8().tolist() == [0x2A, 0x2B, 0x2C]
    assert c.finish().tolist() == [NONE] * 3
    for length in range(len(whole)):
        c = over(whole[:length])
        assert c.compact_size().tolist() == [0]
        assert c.finish().tolist() == [TRUNCATED]


@pytest.mark.parametrize("encoded", ["fd0000", "fdfc00", "feffff0000", "ffffffffff00000000"])
def test_compact_size_must_be_shortest(encoded: str) -> None:
    """A longer form than needed stops the payload."""
    c = over(bytes.fromhex(encoded) + b"\1", b"\1\1")
    c.compact_size()
    assert c.u8().tolist() == [0, 1]
    assert c.finish().tolist() == [NON_CANONICAL, NONE]


def test_count_over_its_limit_goes_on() -> None:
    """Entries up to the limit can still be read; a length over its limit stops."""
    c = over(b"\x09\1\2\3")
    counts = c.count(2)
    entries = c.entries(counts, 1)
    assert entries.idx.tolist() == [0, 1]
    assert c.live.tolist() == [True]
    assert c.finish().tolist() == [OVER_LIMIT]
    c = over(b"\x09\1\2\3", b"\x02\1\2")
    assert c.length(2).tolist() == [0, 2]
    assert c.live.tolist() == [False, True]
    assert c.finish().tolist()[0] == OVER_LIMIT


def test_entries_of_all_payloads() -> None:
    """Whole entries are found with payload, position and offset; a list cut short is truncated, or ours."""
    c = over(b"\2aabb", b"\0", b"\3aabbc", b"\1aa")
    entries = c.entries(c.count(9), 2)
    assert entries.message.tolist() == [0, 0, 2, 2, 3]
    assert entries.idx.tolist() == [0, 1, 0, 1, 0]
    assert matrix(c.buf, entries.at, 2).tobytes() == b"aabbaabbaa"
    assert c.finish().tolist() == [NONE, NONE, TRUNCATED, NONE]
    c = over(b"\3aabbc", cut=1)
    assert len(c.entries(c.count(9), 2).at) == 2
    assert c.finish().tolist() == [NONE]


def test_a_hostile_count_costs_nothing() -> None:
    """Memory follows the bytes that are there, not the count."""
    many = payloads(*[b"\xff" + b"\xff" * 8 + b"x" * 30] * 1000)
    tracemalloc.start()
    c = Cursor.over(many)
    entries = c.entries(c.count(2**62), 30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(entries.at) == 1000
    assert peak < 1 << 20
    assert set(c.finish().tolist()) == {OVER_LIMIT}


def test_a_body_is_judged_by_what_was_sent() -> None:
    """Bytes that nobody reads need not be kept: too few sent are truncated, more are trailing, and all else is well."""
    for kept in range(1, 7):
        c = Cursor.over(cut_to(kept, b"\5aaaaa", b"\5aaaa", b"\5aaaaaa"))
        assert c.body(c.length(9)).tolist() == [5, 4, 5]
        assert c.finish().tolist() == [NONE, TRUNCATED, TRAILING]


def test_items_of_a_body_are_counted() -> None:
    """Items that were wholly sent are counted; those that a count only claims are not."""
    for kept in (1, 3, 6):
        c = Cursor.over(cut_to(kept, b"\2aabb", b"\2aab", b"\0", b"\x08"))
        assert c.body(c.count(9), 2).tolist() == [2, 1, 0, 0]
        assert c.finish().tolist() == [NONE, TRUNCATED, NONE, TRUNCATED]


def test_what_lies_behind_a_body() -> None:
    """Fields behind are read where they were kept; one that was sent and not kept is no error, one that was not sent is."""
    for kept, value, live in ((4, 7, [True, False]), (3, 0, [False, False]), (1, 0, [False, False])):
        c = Cursor.over(cut_to(kept, b"\2aa\7", b"\2aa"))
        c.body(c.length(9))
        assert c.u8().tolist() == [value, 0]
        assert c.live.tolist() == live
        assert c.finish().tolist() == [NONE, TRUNCATED]


def test_bodies_in_a_row() -> None:
    """Several may follow each other beyond the kept bytes, and an end there is an end."""
    c = Cursor.over(cut_to(2, b"\1\2abbb", b"\1\2abbbx"))
    first, second = c.u8(), c.u8()
    assert c.body(first.astype(np.int64)).tolist() == [1, 1]
    assert c.body(second.astype(np.int64) + 1).tolist() == [3, 3]
    c.optional()
    assert c.live.tolist() == [False, True]
    assert c.finish().tolist() == [NONE, TRAILING]


def test_a_body_of_any_length_stays_in_the_payload() -> None:
    """The longest length that can be claimed neither overflows nor moves beyond the payload."""
    c = over(b"\1", b"ab", cut=3)
    assert c.body(np.array([2**62, 2**62])).tolist() == [4, 5]
    assert (c.pos <= c.limit).all()
    assert c.finish().tolist() == [TRUNCATED, TRUNCATED]


def test_payloads_that_stopped_have_no_body() -> None:
    """Whatever their count said, nothing of it is counted, and nothing is said of it."""
    c = over(b"\xfd\2\0aa", b"\2aa")
    assert c.body(c.count(9)).tolist() == [0, 2]
    assert c.finish().tolist() == [NON_CANONICAL, NONE]


def test_an_error_that_is_noted_does_not_stop() -> None:
    """Reading goes on after it, and it stays the first; payloads that stopped get none."""
    c = over(b"\1\2", b"\1", b"")
    c.u8()
    c.note(np.array([True, True, True]), OVER_LIMIT)
    assert c.u8().tolist() == [2, 0, 0]
    assert c.finish().tolist() == [OVER_LIMIT, OVER_LIMIT, TRUNCATED]


def test_nested_entries_count_up_to_the_first_bad_one() -> None:
    """A bad entry ends its list with its error and leaves other payloads alone; reading goes on behind good lists."""
    c = over(b"\1\2aa\7", b"\1\x09a", b"", b"\3aaa\1b\x09")
    starts = np.array([0, 1, 5, 6, 8, 12], np.int64)
    entries = Entries(*numbered(np.array([2, 2, 0, 2])), starts)
    inner = c.nested(entries)
    inner.skip(inner.length(8))
    keep = c.adopt(inner, entries)
    assert keep.tolist() == [True, True, True, False, True, True]
    assert c.pos.tolist()[0] == 4
    assert c.live.tolist() == [True, False, True, True]
    assert c.u8().tolist() == [7, 0, 0, 9]
    assert c.finish().tolist() == [NONE, OVER_LIMIT, TRUNCATED, NONE]


def test_the_first_error_counts() -> None:
    """A later error never replaces an earlier one."""
    c = over(b"\x09\1")
    c.entries(c.count(2), 1)
    assert c.finish().tolist() == [OVER_LIMIT]


def test_optional_fields() -> None:
    """A payload may end where the rest is optional, unless it is excepted; one that we cut there did not end."""
    c = over(b"\1", b"\1\2", b"\1")
    c.u8()
    c.optional(np.array([True, True, False]))
    assert c.u8().tolist() == [0, 2, 0]
    assert c.finish().tolist() == [NONE, NONE, TRUNCATED]
    c = over(b"\1", cut=1)
    c.u8()
    c.optional()
    assert c.live.tolist() == [True]
    c.u8()
    assert c.finish().tolist() == [NONE]


def test_presence_masks_stay_as_they_were() -> None:
    """`live` as it was after a field is not changed by later reads."""
    c = over(b"\1", b"\1\2")
    c.u8()
    present = c.live
    c.u8()
    assert present.tolist() == [True, True]


def test_octets_and_fields_at_the_end_of_the_buffer() -> None:
    """Fixed-width reads may end with the last payload, and stay inside the buffer when they do not fit."""
    c = over(bytes(range(32)), bytes(3))
    assert c.octets(32)[0].tolist() == list(range(32))
    assert not c.octets(32).any()
    assert fields(c.buf, np.array([31]), "V32").nbytes == 32
    assert c.finish().tolist() == [TRUNCATED, TRUNCATED]


def test_no_payloads_at_all() -> None:
    """Everything works on nothing."""
    c = over()
    c.u32()
    c.compact_size()
    entries = c.entries(c.count(5), 30)
    inner = c.nested(entries)
    inner.skip(inner.length(3))
    assert c.adopt(inner, entries).tolist() == []
    c.optional()
    assert c.octets(16).shape == (0, 16)
    assert c.finish().tolist() == []
