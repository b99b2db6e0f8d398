"""Transactions: well-formed bytes of realistic shapes, with their real ids. Signatures and amounts mean nothing."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.chain import sha256d
from peerwatch.sources.simulation.pieces import Pieces

_WPKH_OUT = (b"\x16\x00\x14", 20)
_TR_OUT = (b"\x22\x51\x20", 32)
_DATA_OUT = (b"\x22\x6a\x20", 32)
"""Scripts of outputs: length and fixed bytes, and how many random bytes follow."""

_WPKH_WITNESS = (72, 33)
_TR_WITNESS = (64,)
"""Lengths of the witness items of an input."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A form of transaction: all its bytes with zeros for what differs, and where that is."""

    fixed: bytes
    random: bytes
    """1 for each byte that is random."""
    witness: int
    """Where the witness begins."""
    inputs: int
    outputs: int

    @property
    def vsize(self) -> int:
        """Virtual size (BIP 141), vB."""
        stripped = self.witness - 2 + 4
        return -(-(3 * stripped + len(self.fixed)) // 4)


class _Builder:
    """Puts a shape together from fixed and random parts."""

    def __init__(self) -> None:
        self.fixed = bytearray()
        self.mask = bytearray()

    def put(self, data: bytes) -> None:
        self.fixed += data
        self.mask += bytes(len(data))

    def fill(self, count: int) -> None:
        self.fixed += bytes(count)
        self.mask += b"\1" * count


def shape(inputs: int, outputs: list[tuple[bytes, int]], witness: tuple[int, ...]) -> Shape:
    """A shape with `inputs` equal inputs, fewer than 253 of each."""
    b = _Builder()
    b.put(struct.pack("<IBBB", 2, 0, 1, inputs))
    for _ in range(inputs):
        b.fill(32)
        b.put(struct.pack("<IBI", 0, 0, 0xFFFFFFFD))
    b.put(bytes([len(outputs)]))
    for script, rest in outputs:
        b.fill(4)  # amounts below 43 BTC
        b.put(bytes(4) + script)
        b.fill(rest)
    at = len(b.fixed)
    for _ in range(inputs):
        b.put(bytes([len(witness)]))
        for length in witness:
            b.put(bytes([length]) if length < 0xFD else b"\xfd" + struct.pack("<H", length))  # noqa: PLR2004 - compact size
            b.fill(length)
    b.put(bytes(4))
    return Shape(bytes(b.fixed), bytes(b.mask), at, inputs, len(outputs))


def _shapes() -> list[tuple[Shape, float]]:
    """Shapes and their shares. Assumed: the mix of mainnet in 2025, roughly; the mean is about 600 bytes and 325 vB."""
    plain = [
        (shape(1, [_WPKH_OUT] * 2, _WPKH_WITNESS), 0.36), (shape(1, [_WPKH_OUT], _WPKH_WITNESS), 0.16),
        (shape(2, [_WPKH_OUT] * 2, _WPKH_WITNESS), 0.14), (shape(3, [_WPKH_OUT] * 2, _WPKH_WITNESS), 0.05),
        (shape(1, [_TR_OUT] * 2, _TR_WITNESS), 0.09), (shape(1, [_TR_OUT, _DATA_OUT], _TR_WITNESS), 0.09),
    ]  # fmt: skip
    batches = [(shape(1, [_WPKH_OUT] * n, _WPKH_WITNESS), 0.010) for n in (5, 10, 20, 40, 80)]
    merges = [(shape(n, [_WPKH_OUT], _WPKH_WITNESS), 0.0075) for n in (8, 16, 32, 64, 100)]
    data = [(shape(1, [_TR_OUT], (64, n, 33)), 0.01) for n in (300, 1000, 4000)]
    return plain + batches + merges + data


@dataclass(frozen=True, slots=True)
class Transactions:
    """Transactions in columns: bytes, ids (uint8, 32 bytes each, as on the wire), sizes (vB), fees (sat), inputs and outputs."""

    body: Pieces
    txid: Array
    wtxid: Array
    vsize: Array
    fee: Array
    inputs: Array
    outputs: Array

    def __len__(self) -> int:
        """Number of transactions."""
        return len(self.vsize)

    def take(self, index: Array | slice) -> Transactions:
        """Some of them; bytes are not copied."""
        columns = ("txid", "wtxid", "vsize", "fee", "inputs", "outputs")
        return Transactions(self.body.take(index), *(getattr(self, c)[index] for c in columns))

    @classmethod
    def joined(cls, first: Transactions, second: Transactions) -> Transactions:
        """Both, one after the other."""
        pairs = ((getattr(first, c), getattr(second, c)) for c in ("txid", "wtxid", "vsize", "fee", "inputs", "outputs"))
        return cls(Pieces.joined([first.body, second.body]), *(np.concatenate(p) for p in pairs))


class Mint:
    """Makes transactions."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Lay out all shapes."""
        self._rng = rng
        shapes, shares = zip(*_shapes(), strict=True)
        self._shares = np.array(shares) / sum(shares)
        self._fixed = Pieces.of_bytes([s.fixed for s in shapes])
        self._mask = Pieces.of_bytes([s.random for s in shapes])
        self._witness = np.array([s.witness for s in shapes])
        self._vsize = np.array([s.vsize for s in shapes])
        self._inputs = np.array([s.inputs for s in shapes])
        self._outputs = np.array([s.outputs for s in shapes])

    def make(self, count: int) -> Transactions:
        """So many new transactions."""
        rng = self._rng
        kind = rng.choice(len(self._shares), count, p=self._shares)
        fixed, mask = self._fixed.take(kind).compacted(), self._mask.take(kind).compacted()
        buf = np.where(mask.buf == 1, rng.integers(0, 256, len(fixed.buf), np.uint8), fixed.buf)
        body = Pieces(buf, fixed.start, fixed.size)
        txid, wtxid = _ids(body, self._witness[kind])
        vsize = self._vsize[kind]
        fee = (vsize * np.maximum(0.1, rng.lognormal(np.log(2.5), 0.9, count))).astype(np.int64) + 1
        return Transactions(body, txid, wtxid, vsize, fee, self._inputs[kind], self._outputs[kind])


def _ids(body: Pieces, witness: Array) -> tuple[Array, Array]:
    """Transaction ids and witness ids. Hashing is what it is: once a transaction, in Python."""
    data = memoryview(body.buf.tobytes())
    txid, wtxid = bytearray(), bytearray()
    for start, size, at in zip(body.start.tolist(), body.size.tolist(), witness.tolist(), strict=True):
        raw = data[start : start + size]
        wtxid += sha256d(raw)
        txid += sha256d(b"".join((raw[:4], raw[6:at], raw[-4:])))
    return np.frombuffer(txid, np.uint8).reshape(-1, 32), np.frombuffer(wtxid, np.uint8).reshape(-1, 32)


def coinbase(height: int, rng: np.random.Generator) -> bytes:
    """A coinbase transaction with its height (BIP 34) and a witness commitment's length."""
    script = b"\x03" + height.to_bytes(3, "little") + rng.bytes(24)
    head = struct.pack("<IBBB", 2, 0, 1, 1) + bytes(32) + b"\xff" * 4 + bytes([len(script)]) + script + b"\xff" * 4
    outs = struct.pack("<BqB", 2, 312_500_000, 22) + b"\x00\x14" + rng.bytes(20)
    commitment = struct.pack("<qB", 0, 38) + b"\x6a\x24\xaa\x21\xa9\xed" + rng.bytes(32)
    return head + outs + commitment + b"\x01\x20" + bytes(32) + bytes(4)
