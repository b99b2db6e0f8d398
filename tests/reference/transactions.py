"""Transactions: BIP 141, BIP 144, and what Core refuses (primitives/transaction.h: UnserializeTransaction)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.reference.reader import Reader, Stopped, compact_size

MOST = 0x02000000
"""Largest count or length that Core reads."""


@dataclass
class Transaction:
    """What a transaction says, its bytes, and those without marker, flag and witness."""

    version: int
    inputs: int
    outputs: int
    lock_time: int
    whole: bytes
    stripped: bytes

    @property
    def txid(self) -> bytes:
        """Id without witness."""
        return sha256d(self.stripped)

    @property
    def wtxid(self) -> bytes:
        """Id with witness."""
        return sha256d(self.whole)

    @property
    def weight(self) -> int:
        """Weight (BIP 141)."""
        return 3 * len(self.stripped) + len(self.whole)


def sha256d(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def many(reader: Reader, least: int) -> int:
    """A count of things of at least so many bytes: one that cannot fit in what was sent is the sender's fault."""
    count = reader.length(MOST)
    if count * least > reader.size - reader.at:
        raise Stopped("truncated")
    return count


def inputs(reader: Reader) -> int:
    count = reader.length(MOST)
    for _ in range(count):
        reader.take(36)
        reader.take(reader.length(MOST))
        reader.take(4)
    return count


def outputs(reader: Reader) -> int:
    count = reader.length(MOST)
    for _ in range(count):
        reader.take(8)
        reader.take(reader.length(MOST))
    return count


def transaction(reader: Reader) -> Transaction:
    """Read a transaction."""
    start = reader.at
    version = reader.take(4)
    begin = reader.at
    flags = outs = 0
    ins = inputs(reader)
    if ins:
        outs = outputs(reader)
    elif flags := reader.number("B"):
        begin = reader.at
        ins, outs = inputs(reader), outputs(reader)
    body = reader.kept[begin : reader.at]
    if flags & 1:
        stacks = [[reader.take(reader.length(MOST)) for _ in range(reader.length(MOST))] for _ in range(ins)]
        if not any(stacks):
            raise Stopped("superfluous_witness")
    if flags & ~1:
        raise Stopped("unknown_flag")
    lock_time = reader.take(4)
    whole = reader.kept[start : reader.at]
    return Transaction(
        int.from_bytes(version, "little"), ins, outs, int.from_bytes(lock_time, "little"), whole, version + body + lock_time
    )


def sums(transactions: list[Transaction]) -> dict[str, int]:
    """The columns of `block_relay` that transactions add up to."""
    return {
        "inputs": sum(t.inputs for t in transactions),
        "outputs": sum(t.outputs for t in transactions),
        "weight": sum(t.weight for t in transactions),
    }


def octets(width: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=width, max_size=width)


def listed(parts: list[bytes]) -> bytes:
    return compact_size(len(parts)) + b"".join(parts)


def strings() -> st.SearchStrategy[bytes]:
    """Scripts and witness items with their length, some of them long."""
    return (st.binary(max_size=40) | st.sampled_from([0xFC, 0xFD, 300]).map(bytes)).map(lambda s: compact_size(len(s)) + s)


def valid() -> st.SearchStrategy[bytes]:
    """Transactions with and without witness, and one that has nothing at all."""

    def put(version: bytes, ins: list[tuple[bytes, list[bytes]]], outs: list[bytes], lock_time: bytes) -> bytes:
        body = listed([i for i, _ in ins]) + listed(outs)
        if any(stack for _, stack in ins):
            body = b"\0\1" + body + b"".join(listed(stack) for _, stack in ins)
        return version + body + lock_time

    spend = st.builds(lambda outpoint, script, sequence: outpoint + script + sequence, octets(36), strings(), octets(4))
    spend |= octets(36).map(lambda outpoint: outpoint + b"\0" + b"\xff" * 4)
    witness = st.just([]) | st.lists(strings(), max_size=4)
    output = st.builds(lambda amount, script: amount + script, octets(8), strings())
    ins = st.lists(st.tuples(spend, witness), min_size=1, max_size=4)
    return st.builds(put, octets(4), ins, st.lists(output, max_size=4), octets(4)) | octets(8).map(
        lambda b: b[:4] + b"\0\0" + b[4:]
    )
