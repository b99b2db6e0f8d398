"""`reject` (BIP 61)."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from tests.reference.decode import dissected, raw
from tests.reference.reader import Row, string

HASH = bytes.fromhex("394715fcab51093be7bfca5a31005972947baf86a31017939575fb2354222821")
EXAMPLE = bytes.fromhex("027478" + "12" + "15" + "6261642d74786e732d696e707574732d7370656e74") + HASH
"""developer.bitcoin.org, P2P network reference."""
REASON = "bad-txns-inputs-spent"


def row(message: str, code: int | None, reason: str | None, hash_: bytes | None = None, extra: int = 0) -> Row:
    return {"message": message, "code": code, "reason": reason, "hash": hash_, "extra": extra}


def both(payload: bytes, size: int | None = None) -> tuple[list[Row], str | None]:
    return dissected(raw([("reject", payload, len(payload) if size is None else size)]))[0]


def test_the_documented_example() -> None:
    """A transaction refused gives the code, the reason and the transaction's hash."""
    assert both(EXAMPLE) == ([row("tx", 0x12, REASON, HASH, 32)], None)


@pytest.mark.parametrize("message", ["tx", "block", "version"])
@pytest.mark.parametrize("code", [0x01, 0x43, 0xFF])
def test_what_btclib_writes(message: str, code: int) -> None:
    """Everything is read as an independent implementation writes it, which shows hashes reversed."""
    hash_ = bytes(range(32)) if message != "version" else b""
    made = oracle.Reject(message, code, "no", hash_[::-1]).serialize()
    assert both(made) == ([row(message, code, "no", hash_ or None, len(hash_))], None)


@pytest.mark.parametrize("message", ["tx", "block"])
def test_a_hash_may_be_missing(message: str) -> None:
    """Core sent none for what it could not decode; a piece of one is truncated, and more than one is too much."""
    start = string(message.encode()) + b"\x01" + string(b"malformed")
    assert both(start) == ([row(message, 1, "malformed")], None)
    for extra in (1, 31):
        assert both(start + HASH[:extra]) == ([row(message, 1, "malformed", None, extra)], "truncated")
    assert both(start + HASH + b"\0") == ([row(message, 1, "malformed", HASH, 33)], "trailing")


@pytest.mark.parametrize("message", ["version", "", "txx", "t", "blocks", "BLOCK", "cmpctblock"])
def test_only_transactions_and_blocks_have_a_hash(message: str) -> None:
    """Extra data of any other message is nothing that BIP 61 knows: its length is told."""
    start = string(message.encode()) + b"\x10" + string(b"x")
    assert both(start) == ([row(message, 0x10, "x")], None)
    assert both(start + HASH) == ([row(message, 0x10, "x", None, 32)], "trailing")


def test_extra_data_that_we_did_not_keep() -> None:
    """Its length is known from what was sent."""
    assert both(EXAMPLE[:30], len(EXAMPLE)) == ([row("tx", 0x12, REASON, None, 32)], None)
    assert both(EXAMPLE[:26], 4000) == ([row("tx", 0x12, REASON, None, 3974)], None)


def test_limits() -> None:
    """A type has at most 12 bytes and a reason 111; longer ones end the message, and what was there stays."""
    assert both(string(b"m" * 12) + b"\1" + string(b"r" * 111)) == ([row("m" * 12, 1, "r" * 111)], None)
    assert both(string(b"m" * 13) + b"\1" + string(b"r")) == ([], "over_limit")
    assert both(string(b"tx") + b"\1" + string(b"r" * 112)) == ([row("tx", 1, None)], "over_limit")


def test_cut_inside_a_field() -> None:
    """Fields that are whole stay, whether the sender or we cut the next; only the first is an error."""
    for end, expected in ((2, []), (3, [row("tx", None, None)]), (4, [row("tx", 0x12, None)]), (25, [row("tx", 0x12, None)])):
        assert both(EXAMPLE[:end]) == (expected, "truncated")
        assert both(EXAMPLE[:end], len(EXAMPLE)) == (expected, None)


def test_hostile_texts_are_escaped() -> None:
    """Control bytes, bytes beyond ASCII and the escape sign itself never appear as they are, in either text."""
    rows, _ = both(string(b"\x1b[2J\xff\\") + b"\1" + string("\u202eé\r\n\0".encode()))
    assert rows == [row(r"\x1b[2J\xff\x5c", 1, r"\xe2\x80\xae\xc3\xa9\x0d\x0a\x00")]
