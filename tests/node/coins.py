"""Money without keys: coinbases paid to a script that anyone can spend, so that transactions need no wallet and no randomness.

The script is a witness program whose script is `OP_TRUE` (BIP 141), which is standard to pay to and to spend.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from hashlib import sha256

from btclib.hashes import hash256

from tests.node.harness import Node

TRUE = b"\x51"
PROGRAM = b"\x00\x20" + sha256(TRUE).digest()
DESCRIPTOR = f"raw({PROGRAM.hex()})"
MATURITY = 100
"""Blocks on top of a coinbase before it can be spent (consensus.h: COINBASE_MATURITY)."""
SUBSIDY = 50 * 100_000_000
FEE = 10_000
SEQUENCE = 0xFFFFFFFD


@dataclass(frozen=True)
class Coin:
    """An output: hash of its transaction as on the wire, number, and value in satoshi."""

    txid: bytes
    number: int
    value: int


@dataclass(frozen=True)
class Transaction:
    """A transaction as it goes over the wire."""

    raw: bytes
    stripped: bytes
    coins: tuple[Coin, ...] = field(default=(), compare=False)

    @property
    def txid(self) -> bytes:
        """Hash without witnesses."""
        return hash256(self.stripped)

    @property
    def wtxid(self) -> bytes:
        """Hash with witnesses."""
        return hash256(self.raw)


def spend(coin: Coin, outputs: int = 1, fee: int = FEE) -> Transaction:
    """A transaction that spends a coin and makes `outputs` of equal value, which can be spent in the same way."""
    each = (coin.value - fee) // outputs
    paid = struct.pack("<q", each) + bytes([len(PROGRAM)]) + PROGRAM
    inputs = b"\x01" + coin.txid + struct.pack("<I", coin.number) + b"\x00" + struct.pack("<I", SEQUENCE)
    body = inputs + bytes([outputs]) + paid * outputs
    version, lock_time = struct.pack("<i", 2), bytes(4)
    witness = b"\x01" + bytes([len(TRUE)]) + TRUE
    stripped = version + body + lock_time
    txid = hash256(stripped)
    coins = tuple(Coin(txid, number, each) for number in range(outputs))
    return Transaction(version + b"\x00\x01" + body + witness + lock_time, stripped, coins)


def mine(node: Node, blocks: int = 1) -> list[str]:
    """Mine blocks, paid to anyone; their hashes."""
    return list(node.rpc("generatetodescriptor", blocks, DESCRIPTOR))


def coinbase(node: Node, block: str) -> Coin:
    """The coinbase of an early block without fees."""
    txid = node.rpc("getblock", block, 1)["tx"][0]
    return Coin(bytes.fromhex(txid)[::-1], 0, SUBSIDY)
