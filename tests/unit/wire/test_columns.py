"""Arrow columns made of arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.wire import columns
from peerwatch.wire.columns import fixed_bytes, labels, nullable, short_bytes, texts
from peerwatch.wire.raw import printable


def spans(parts: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parts one after the other with a byte between them: buffer, starts, lengths."""
    length = np.array([len(p) for p in parts], np.int64)
    return np.frombuffer(b"".join(p + b"\xee" for p in parts) + bytes(64), np.uint8), np.cumsum(length + 1) - length - 1, length


@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=30))
def test_texts_are_escaped_as_printable_does(rows: list[tuple[bytes, bool]]) -> None:
    """Every byte string becomes what `printable` makes of it, null where it is not valid."""
    valid = np.array([v for _, v in rows], bool)
    made = texts(*spans([t for t, _ in rows]), valid)
    made.validate(full=True)
    assert made.to_pylist() == [printable(t) if v else None for t, v in rows]


def test_texts_beyond_one_block() -> None:
    """Texts of many blocks are put together in order, clean blocks and strange ones."""
    parts = [bytes([65 + i % 26]) * 200 + (b"\x1b[2J" if i % 3000 > 2990 else b"") for i in range(6000)]
    assert sum(map(len, parts)) > 3 * columns._TEXT_BLOCK
    assert texts(*spans(parts), np.ones(len(parts), bool)).to_pylist() == [printable(p) for p in parts]


def test_every_byte_is_shown_in_ascii() -> None:
    """No byte of a peer reaches a terminal as anything but printable ASCII."""
    shown = texts(*spans([bytes(range(256))]), np.array([True]))[0].as_py()
    assert shown == printable(bytes(range(256)))
    assert all(32 <= ord(c) < 127 for c in shown)


@given(st.lists(st.tuples(st.binary(min_size=6, max_size=6), st.integers(0, 6), st.booleans()), max_size=20))
def test_short_bytes(rows: list[tuple[bytes, int, bool]]) -> None:
    """The first bytes of each row, null where it is not valid."""
    windows = np.frombuffer(b"".join(w for w, _, _ in rows), np.uint8).reshape(-1, 6)
    made = short_bytes(windows, np.array([n for _, n, _ in rows], np.int64), np.array([v for _, _, v in rows], bool))
    made.validate(full=True)
    assert made.to_pylist() == [w[:n] if v else None for w, n, v in rows]


def test_short_bytes_of_one_length() -> None:
    """Rows of equal length give the same as others."""
    windows = np.arange(24, dtype=np.uint8).reshape(4, 6)
    valid = np.array([True, False, True, True])
    assert short_bytes(windows, np.full(4, 5), valid).to_pylist() == [
        b"\0\1\2\3\4",
        None,
        bytes(range(12, 17)),
        bytes(range(18, 23)),
    ]


def test_fixed_bytes_and_numbers_with_nulls() -> None:
    """Null exactly where not valid."""
    values = np.arange(40, dtype=np.uint8).reshape(10, 4)
    valid = np.arange(10) % 3 != 1
    made = fixed_bytes(values, valid)
    made.validate(full=True)
    assert made.to_pylist() == [bytes(v) if ok else None for v, ok in zip(values, valid, strict=True)]
    assert fixed_bytes(values, np.ones(10, bool)).null_count == 0
    assert nullable(np.arange(3), np.array([True, False, True])).to_pylist() == [0, None, 2]
    assert nullable(np.arange(3), np.ones(3, bool)).to_pylist() == [0, 1, 2]


def test_labels() -> None:
    """Codes stand for names."""
    assert labels(np.array([1, 0, 1]), ("a", "b")).to_pylist() == ["b", "a", "b"]
