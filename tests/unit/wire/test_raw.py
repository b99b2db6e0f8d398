"""Raw messages and the names of their types."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.wire.raw import KNOWN_TYPES, OTHER, PAD, UNKNOWN_NAMES, RawMessages, TypeNames, printable


def padded(*types: bytes) -> np.ndarray:
    return np.array([t.ljust(16, b"\0") for t in types], "V16").view(np.uint8).reshape(-1, 16)


def test_known_types_have_fixed_codes() -> None:
    """A known type's code is its position, one by one and all at once."""
    names = TypeNames()
    assert [names.code(t.encode()) for t in KNOWN_TYPES] == list(range(len(KNOWN_TYPES)))
    assert names.codes(padded(*[t.encode() for t in KNOWN_TYPES])).tolist() == list(range(len(KNOWN_TYPES)))


@given(st.lists(st.binary(max_size=12) | st.sampled_from([t.encode() for t in KNOWN_TYPES]), max_size=20), st.integers(0, 20))
def test_codes_do_not_depend_on_batching(types: list[bytes], cut: int) -> None:
    """Types get the same codes all at once, in two batches, and one by one up to their first NUL."""
    whole, parts, single = TypeNames(), TypeNames(), TypeNames()
    expected = [single.code(t.split(b"\0", 1)[0]) for t in types]
    assert whole.codes(padded(*types)).tolist() == expected
    assert [*parts.codes(padded(*types[:cut])).tolist(), *parts.codes(padded(*types[cut:])).tolist()] == expected
    assert whole.names == parts.names == single.names


def test_unknown_types_are_bounded() -> None:
    """A peer that makes up types gets a bounded number of names; all others are one."""
    names = TypeNames()
    codes = names.codes(padded(*[b"t%d" % i for i in range(UNKNOWN_NAMES + 50)]))
    assert len(names.names) == len(KNOWN_TYPES) + 1 + UNKNOWN_NAMES
    assert set(codes[UNKNOWN_NAMES:].tolist()) == {names.names.index(OTHER)}
    assert names.names[codes[0]] == "t0"


def test_names_are_unique() -> None:
    """A peer cannot make a second entry of a name that is there."""
    names = TypeNames()
    names.codes(padded(OTHER.encode(), b"ping", b"\xff", b"\\xff", b"\xff"))
    assert len(set(names.names)) == len(names.names)


def test_a_type_made_to_look_like_a_known_one_is_not() -> None:
    """Types are told apart by their bytes, whatever the search for known ones makes of them."""
    names = TypeNames()
    word = np.frombuffer(b"ping".ljust(8, b"\0"), "<u8")[0]
    forged = np.array([[word ^ np.uint64(0x9E3779B97F4A7C15), np.uint64(1)]], "<u8").view(np.uint8)
    assert names.codes(forged).tolist() == [len(KNOWN_TYPES) + 1]


def test_printable() -> None:
    """ASCII stays, everything else and the backslash are escaped, so that different bytes stay different."""
    assert printable(b"/Satoshi:29.0.0/") == "/Satoshi:29.0.0/"
    assert printable(b"a\x1b\\\xff") == r"a\x1b\x5c\xff"
    assert len({printable(bytes([b])) for b in range(256)}) == 256


def test_slices_and_none() -> None:
    """A slice has the columns of its messages; there may be no messages at all."""
    none = RawMessages.none()
    assert len(none) == 0
    assert len(none.buf) == PAD
    n = np.arange(5)
    some = RawMessages(np.zeros(PAD, np.uint8), n, n + 1, n, n > 2, n.astype(np.int16), n, n, n * 0, n > 9, list(KNOWN_TYPES))
    part = some.slice(2, 4)
    assert len(part) == 2
    assert (part.ts.tolist(), part.seq.tolist(), part.inbound.tolist()) == ([2, 3], [3, 4], [False, True])
