"""Walking over transactions, field after field, to where they end; and their ids.

Where a transaction's fields lie depends on the lengths of those before, so no two of a batch are alike, and most are short:
walking one after the other over plain bytes beats reading one field of all of them at once. Everything here works on `data` that
ends where a payload's kept bytes end, so running out of them is Python's own IndexError. What can be wrong with a transaction is
what Core's UnserializeTransaction (primitives/transaction.h) refuses, in its order. Work is linear in the bytes that are there,
whatever counts say.
"""

from __future__ import annotations

import hashlib

from peerwatch.wire.dissector import WireError

MAX_SIZE = 0x02000000
"""Largest count or length that any message may hold (Core, serialize.h)."""
LEAST_BYTES = 10
"""The smallest transaction: version, no inputs, no outputs, lock time."""
WITNESS_SCALE_FACTOR = 4
"""Weight of a byte that is not part of a witness (Core, consensus/consensus.h)."""

Walked = tuple[int, int, int, int]
"""Of transactions: where they end, inputs, outputs, weight (BIP 141)."""

WIDE = 253
"""A compact size of this first byte or above has 2, 4 or 8 further bytes."""
_LEAST = (WIDE, 1 << 16, 1 << 32)
"""Smallest value that each of these widths may hold."""

_HAS_WITNESS = 1
"""The one flag that means something (BIP 144)."""
_OUTPOINT = 32 + 4
_INPUT = _OUTPOINT + 1 + 4
"""An input with an empty script: output that it spends, script, sequence."""
_AMOUNT = 8
_OUTPUT = _AMOUNT + 1
"""An output with an empty script: amount, script."""
_NO_SCRIPTS = [bytes(n) for n in range(WIDE)]
_MARK = 2
"""Marker and flag."""
_PAIR = 2
"""Witness items of the usual spend: signature and public key."""

_sha256 = hashlib.sha256


class Malformed(Exception):  # noqa: N818 - a peer's fault, not ours
    """What was sent breaks a rule, other than by ending early."""

    def __init__(self, error: WireError) -> None:
        """Say which."""
        super().__init__(error)
        self.error = error


def walk(data: bytes, at: int) -> tuple[int, int, int, int]:  # noqa: C901, PLR0912 - a call for each field would double its time
    """Walk over the transaction that begins at `at`.

    Returns:
        Where it ends, inputs, outputs, and the bytes of its witness: marker and flag included, 0 where there is none.

    Raises:
        IndexError: `data` ends inside of it.
        Malformed: it is none.
    """
    inputs, at = data[at + 4], at + 5
    flags = outputs = witness = 0
    if not inputs:
        flags, at = data[at], at + 1
        if flags:
            inputs, at = data[at], at + 1
    if inputs >= WIDE:
        inputs, at = _wide(data, at - 1)
    if inputs < WIDE and data[at + _OUTPOINT : at + _INPUT * inputs : _INPUT] == _NO_SCRIPTS[inputs]:
        at += _INPUT * inputs
    else:
        for _ in range(inputs):
            length = data[at + _OUTPOINT]
            if length >= WIDE:
                length, at = _wide(data, at + _OUTPOINT)
                at -= _OUTPOINT + 1
            at += _INPUT + length
    if inputs or flags:
        outputs, at = data[at], at + 1
        if outputs >= WIDE:
            outputs, at = _wide(data, at - 1)
        for _ in range(outputs):
            length = data[at + _AMOUNT]
            if length >= WIDE:
                length, at = _wide(data, at + _AMOUNT)
                at -= _OUTPUT
            at += _OUTPUT + length
    if flags:
        end = _stacks(data, at, inputs) if flags & _HAS_WITNESS else at
        witness, at = _MARK + end - at, end
        if flags != _HAS_WITNESS or witness == _MARK + inputs:
            raise _refusal(data, at, flags, empty=witness == _MARK + inputs)
    at += 4
    if at > len(data):
        raise IndexError
    return at, inputs, outputs, witness


def walk_all(data: bytes, count: int) -> Walked:
    """Walk over so many transactions, at the start of `data`; as `walk`."""
    at = inputs = outputs = witnesses = 0
    for _ in range(count):
        at, more_inputs, more_outputs, witness = walk(data, at)
        inputs += more_inputs
        outputs += more_outputs
        witnesses += witness
    return at, inputs, outputs, weight(at, witnesses)


def weight(size: int, witness: int) -> int:
    """Weight of `size` bytes, of which so many are witness: 3 times the size without witness, and the whole size (BIP 141)."""
    return WITNESS_SCALE_FACTOR * size - (WITNESS_SCALE_FACTOR - 1) * witness


def ids(data: bytes, end: int, witness: int) -> bytes:
    """Txid and wtxid, joined, of the transaction at the start of `data`; where it ends and its witness are what `walk` found."""
    wtxid = _sha256(_sha256(data[:end]).digest()).digest()
    if not witness:
        return wtxid + wtxid
    stripped = data[:4] + data[4 + _MARK : end + _MARK - 4 - witness] + data[end - 4 : end]
    return _sha256(_sha256(stripped).digest()).digest() + wtxid


def compact_size(data: bytes, at: int) -> tuple[int, int]:
    """The compact size at `at`, and where it ends; as `walk`."""
    first = data[at]
    return (first, at + 1) if first < WIDE else _wide(data, at)


def _wide(data: bytes, at: int) -> tuple[int, int]:
    """A compact size of more than one byte."""
    kind = data[at] - WIDE
    end = at + 1 + (2 << kind)
    if end > len(data):
        raise IndexError
    value = int.from_bytes(data[at + 1 : end], "little")
    if value < _LEAST[kind]:
        raise Malformed(WireError.NON_CANONICAL)
    if value > MAX_SIZE:
        raise Malformed(WireError.OVER_LIMIT)
    return value, end


def _stacks(data: bytes, at: int, count: int) -> int:
    """Pass over so many stacks of witness items."""
    for _ in range(count):
        items = data[at]
        if items == _PAIR and (one := data[at + 1]) < WIDE and (two := data[at + 2 + one]) < WIDE:
            at += 3 + one + two
            continue
        at += 1
        if items >= WIDE:
            items, at = _wide(data, at - 1)
        for _ in range(items):
            length = data[at]
            at += 1
            if length >= WIDE:
                length, at = _wide(data, at - 1)
            at += length
    return at


def _refusal(data: bytes, at: int, flags: int, *, empty: bool) -> Exception:
    """Why a transaction with these flags is refused that was read as far as `at`."""
    if at > len(data):
        return IndexError()
    superfluous = flags & _HAS_WITNESS and empty
    return Malformed(WireError.SUPERFLUOUS_WITNESS if superfluous else WireError.UNKNOWN_FLAG)
