"""Walking over transactions."""

from __future__ import annotations

import pytest

from peerwatch.wire.dissector import WireError
from peerwatch.wire.transactions import LEAST_BYTES, Malformed, compact_size, ids, walk, walk_all, weight
from tests.reference.known import GENESIS, GENESIS_TXID, P2WPKH, PAYMENT, TRANSACTIONS, Known, shown
from tests.reference.reader import compact_size as encoded

NOTHING = bytes(LEAST_BYTES)
SPENT = bytes(36)
SEQUENCE = b"\xff" * 4
AMOUNT = bytes(8)


@pytest.mark.parametrize("known", TRANSACTIONS, ids=lambda k: k.txid[:4])
def test_known_transactions(known: Known) -> None:
    """Known transactions end where they do, have their parts, and give the ids that explorers show."""
    assert walk(known.whole, 0) == (len(known.whole), known.inputs, known.outputs, known.witness)
    assert walk(b"junk" + known.whole + b"junk", 4)[0] == len(known.whole) + 4
    both = ids(known.whole + b"junk", len(known.whole), known.witness)
    assert (shown(both[:32]), shown(both[32:])) == (known.txid, known.wtxid)


def test_the_first_transaction_of_all() -> None:
    """That of the genesis block."""
    data = GENESIS[81:]
    assert walk(data, 0) == (len(data), 1, 1, 0)
    assert shown(ids(data, len(data), 0)[:32]) == GENESIS_TXID


def test_weight() -> None:
    """Without witness, four times the size; with it, as BIP 141 has it (BIP 143's example weighs what btclib says, too)."""
    assert weight(len(PAYMENT.whole), 0) == 4 * 275
    assert weight(len(P2WPKH.whole), P2WPKH.witness) == 3 * 233 + 343


def test_many_at_once() -> None:
    """One after the other: their counts and weights add up; more than there are cannot be walked."""
    data = PAYMENT.whole + P2WPKH.whole + NOTHING
    assert walk_all(data + b"more", 3) == (len(data), 3, 4, 4 * 275 + 1042 + 40)
    assert walk_all(data, 0) == (0, 0, 0, 0)
    with pytest.raises(IndexError):
        walk_all(data, 4)


def test_one_of_nothing() -> None:
    """No inputs and flag 0: no outputs follow either."""
    assert walk(NOTHING + b"more", 0) == (LEAST_BYTES, 0, 0, 0)


@pytest.mark.parametrize("known", TRANSACTIONS, ids=lambda k: k.txid[:4])
def test_every_prefix(known: Known) -> None:
    """One that ends early is never taken for another."""
    for n in range(len(known.whole)):
        with pytest.raises(IndexError):
            walk(known.whole[:n], 0)


@pytest.mark.parametrize("scripts", [[0, 0, 0], [0, 1, 0], [252], [253, 2], [70_000]])
@pytest.mark.parametrize("outputs", [[], [0], [252, 253], [70_000, 1]])
@pytest.mark.parametrize("stack", [None, [], [1], [71, 33], [252, 253], [253, 252], [1, 2, 253], [0] * 253])
def test_lengths_of_every_width(scripts: list[int], outputs: list[int], stack: list[int] | None) -> None:
    """Scripts and witness items of any length are passed over, and nothing else is."""
    body = encoded(len(scripts)) + b"".join(SPENT + encoded(n) + b"\xfd" * n + SEQUENCE for n in scripts)
    body += encoded(len(outputs)) + b"".join(AMOUNT + encoded(n) + b"\xff" * n for n in outputs)
    witness = b""
    if stack is not None:
        one = encoded(len(stack)) + b"".join(encoded(n) + b"\xfe" * n for n in stack)
        witness = one + b"\1\0" + one * (len(scripts) - 2) if len(scripts) > 1 else b"\1\0"
    data = bytes(4) + (b"\0\1" if witness else b"") + body + witness + bytes(4)
    assert walk(data + b"\1" * 9, 0) == (len(data), len(scripts), len(outputs), 2 + len(witness) if witness else 0)


def test_more_inputs_and_outputs_than_a_byte_can_count() -> None:
    """Counts of several bytes."""
    body = encoded(300) + (SPENT + b"\0" + SEQUENCE) * 300 + encoded(70_000) + (AMOUNT + b"\0") * 70_000
    data = bytes(4) + b"\0\1" + body + b"\0" * 299 + b"\1\1." + bytes(4)
    assert walk(data, 0) == (len(data), 300, 70_000, 2 + 302)


def with_flags(flags: int, inputs: int, stacks: bytes) -> bytes:
    return bytes(4) + bytes([0, flags, inputs]) + (SPENT + b"\0" + SEQUENCE) * inputs + b"\0" + stacks + bytes(4)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (with_flags(1, 2, b"\0\0"), WireError.SUPERFLUOUS_WITNESS),
        (with_flags(1, 0, b""), WireError.SUPERFLUOUS_WITNESS),
        (with_flags(3, 1, b"\0"), WireError.SUPERFLUOUS_WITNESS),
        (with_flags(3, 1, b"\1\0"), WireError.UNKNOWN_FLAG),
        (with_flags(2, 1, b""), WireError.UNKNOWN_FLAG),
        (with_flags(254, 0, b""), WireError.UNKNOWN_FLAG),
    ],
)
def test_what_core_refuses(data: bytes, error: WireError) -> None:
    """A witness record of empty stacks only, and flags that nobody knows; not before all that comes first was there."""
    with pytest.raises(Malformed) as malformed:
        walk(data, 0)
    assert malformed.value.error == error
    for n in range(len(data) - 4):
        with pytest.raises(IndexError):
            walk(data[:n], 0)


@pytest.mark.parametrize("before", [b"", b"\1" + SPENT, b"\1" + SPENT + b"\0" + SEQUENCE, b"\0\1", b"\0\1\1" + SPENT])
@pytest.mark.parametrize(
    ("size", "error"),
    [
        (encoded(252, 3), WireError.NON_CANONICAL),
        (encoded(2**16 - 1, 5), WireError.NON_CANONICAL),
        (encoded(2**32 - 1, 9), WireError.NON_CANONICAL),
        (encoded(0x02000001), WireError.OVER_LIMIT),
        (encoded(2**64 - 1), WireError.OVER_LIMIT),
    ],
)
def test_sizes_that_are_wrong(before: bytes, size: bytes, error: WireError) -> None:
    """Counts and lengths in a longer form than they need, and ones that no message may hold, wherever they stand."""
    with pytest.raises(Malformed) as malformed:
        walk(bytes(4) + before + size, 0)
    assert malformed.value.error == error
    with pytest.raises(IndexError):
        walk(bytes(4) + before + size[:-1], 0)


def test_wrong_sizes_in_a_stack() -> None:
    """A witness item's length is judged even when its stack is of the usual two, and its bytes would reach beyond the end."""
    for items in (b"\2\xfd\1\0", b"\2\1.\xfd\1\0", b"\1\xfd\1\0"):
        with pytest.raises(Malformed) as malformed:
            walk(with_flags(1, 1, items)[:-4], 0)
        assert malformed.value.error == WireError.NON_CANONICAL


@pytest.mark.parametrize("count", [0xFC, 0xFFFF, 0x02000000])
def test_counts_cost_nothing(count: int) -> None:
    """However much is promised, the end of what is there is found at once."""
    for before in (b"", b"\0\1", b"\1" + SPENT + b"\0" + SEQUENCE, b"\0\1\1" + SPENT + b"\0" + SEQUENCE + b"\0"):
        with pytest.raises(IndexError):
            walk(bytes(4) + before + encoded(count) + bytes(30), 0)


def test_compact_sizes() -> None:
    """Every width, at its least and its most; where the next thing begins."""
    for value in (0, 252, 253, 0xFFFF, 0x10000, 0x02000000):
        data = encoded(value)
        assert compact_size(b"." + data + b".", 1) == (value, 1 + len(data))
