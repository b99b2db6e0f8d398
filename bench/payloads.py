"""Well-formed payloads of every message type, of realistic sizes: what dissecting is measured and tried on.

What the mix (bench/mix.py) has comes from there; this adds the types that a node sees seldom. Sizes are round figures.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from bench.mix import SHARES as MIXED
from bench.mix import START, Mix
from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.chain import sha256d
from peerwatch.sources.simulation.pieces import Pieces, compact_sizes
from peerwatch.sources.simulation.transactions import Mint, coinbase

HEIGHT = 900_000
BITS = 0x17028281
TXS = 5000
"""Different transactions that blocks and the like are made of."""
FULL_BLOCK, FULL_ONE_IN = 2500, 100
"""Transactions of a block as mainnet has them; one in so many is such a one, and the others are as young chains have them."""
FULL_HEADERS = 2000
"""Headers of a full answer to `getheaders`; one in FULL_ONE_IN is such a one, and the others announce one block."""
CHAIN = 4000
"""Different headers."""

EMPTY = (
    "verack", "sendaddrv2", "getaddr", "sendheaders", "mempool", "filterclear", "wtxidrelay", "reqsketchext",
)  # fmt: skip
"""Types that have no payload."""


def counted(number: int, body: bytes = b"") -> bytes:
    """A compact size, and what follows it."""
    wide, mask = compact_sizes(np.array([number]))
    return wide[mask].tobytes() + body


def text(value: bytes) -> bytes:
    """A string: its length and its bytes."""
    return counted(len(value), value)


def merkle_root(ids: list[bytes]) -> bytes:
    """Root of the tree over ids, the last of which is taken twice where there is an odd number of them."""
    while len(ids) > 1:
        ids += ids[-1:] * (len(ids) % 2)
        ids = [sha256d(a + b) for a, b in zip(ids[::2], ids[1::2], strict=True)]
    return ids[0]


class Payloads:
    """Makes payloads. The same seed gives the same ones."""

    def __init__(self, seed: int = 1) -> None:
        """Draw what they are made of."""
        self._mix = Mix(seed)
        self._rng = rng = np.random.default_rng(seed)
        made = Mint(rng).make(TXS)
        data, bodies = made.body.buf.tobytes(), made.body
        self._txs = [data[at : at + size] for at, size in zip(bodies.start.tolist(), bodies.size.tolist(), strict=True)]
        self._txids = [bytes(txid) for txid in made.txid]
        self._chain: list[bytes] = []
        tip = rng.bytes(32)
        for n in range(CHAIN):
            rest = struct.pack("<III", START // SECOND + 600 * n, BITS, int(rng.integers(1 << 32)))
            self._chain.append(struct.pack("<I", 0x20000000) + tip + rng.bytes(32) + rest)
            tip = sha256d(self._chain[-1])

    def make(self, kind: str, count: int) -> Pieces:
        """So many payloads of one type; of one that is unknown, a few random bytes each."""
        if kind in EMPTY:
            return Pieces(np.zeros(1, np.uint8), np.zeros(count, np.int64), np.zeros(count, np.int64))
        if kind in MIXED and kind != "headers":
            return self._mix.bodies(kind, count)
        one = self._makers().get(kind, self._strange)
        return Pieces.of_bytes([one() for _ in range(count)])

    def entries(self, kind: str, counts: Array) -> Pieces:
        """`addr`, `addrv2` and `inv` with so many entries each, or `headers`."""
        if kind == "headers":
            return Pieces.of_bytes([self._headers(n) for n in counts.tolist()])
        return {"addr": self._mix.addr, "addrv2": self._mix.addrv2, "inv": self._mix.inv}[kind](counts)

    def full_block(self) -> bytes:
        """A `block` as large as mainnet's."""
        return self._block(FULL_BLOCK)

    def _makers(self) -> dict[str, Callable[[], bytes]]:
        rng, hash_ = self._rng, self._hash
        return {
            **dict.fromkeys(("getheaders", "getblocks"), self._locator),
            "headers": lambda: self._headers(FULL_HEADERS if self._seldom() else 1),
            "block": lambda: self._block(FULL_BLOCK if self._seldom() else self._few()),
            "cmpctblock": self._cmpctblock,
            "getblocktxn": self._getblocktxn,
            "blocktxn": lambda: hash_() + self._bodies(self._few()),
            "merkleblock": self._merkleblock,
            "reject": self._reject,
            "sendtxrcncl": lambda: struct.pack("<IQ", 1, self._number(64)),
            "reqrecon": lambda: struct.pack("<HH", self._number(8), 8191),
            "sketch": lambda: rng.bytes(4 * self._few()),
            "reconcildiff": lambda: b"\1" + self._list(4, self._few()),
            "filterload": lambda: text(rng.bytes(int(rng.integers(3, 2000)))) + struct.pack("<IIB", 11, self._number(32), 1),
            "filteradd": lambda: text(rng.bytes(int(rng.choice([20, 32, 36])))),
            **dict.fromkeys(("getcfilters", "getcfheaders"), lambda: struct.pack("<BI", 0, HEIGHT) + hash_()),
            "getcfcheckpt": lambda: b"\0" + hash_(),
            "cfilter": lambda: b"\0" + hash_() + text(rng.bytes(20_000 if self._seldom() else 200)),
            "cfheaders": lambda: b"\0" + hash_() + hash_() + self._list(32, 2000 if self._seldom() else self._few()),
            "cfcheckpt": lambda: b"\0" + hash_() + self._list(32, HEIGHT // 1000 if self._seldom() else self._few()),
            "alert": self._alert,
            "sendpackages": lambda: struct.pack("<Q", 1),
            **dict.fromkeys(("getpkgtxns", "ancpkginfo"), lambda: self._list(32, self._few())),
            "pkgtxns": lambda: self._bodies(self._few()),
            "feature": lambda: text(b"bip%d" % self._number(9)) + text(rng.bytes(self._few())),
        }

    def _number(self, bits: int) -> int:
        return (
            int(self._rng.integers(0, 1 << bits, dtype=np.uint64)) if bits < 64 else int.from_bytes(self._rng.bytes(8), "little")
        )

    def _few(self) -> int:
        return int(self._rng.geometric(1 / 8))

    def _seldom(self) -> bool:
        return bool(self._rng.random() < 1 / FULL_ONE_IN)

    def _hash(self) -> bytes:
        return self._rng.bytes(32)

    def _list(self, width: int, count: int) -> bytes:
        return counted(count, self._rng.bytes(width * count))

    def _which(self, count: int) -> list[int]:
        return list(self._rng.integers(0, TXS, count).tolist())

    def _bodies(self, count: int) -> bytes:
        return counted(count, b"".join(self._txs[i] for i in self._which(count)))

    def _header(self) -> bytes:
        return self._chain[int(self._rng.integers(CHAIN))]

    def _headers(self, count: int) -> bytes:
        first = int(self._rng.integers(CHAIN - count + 1))
        return counted(count, b"".join(header + b"\0" for header in self._chain[first : first + count]))

    def _locator(self) -> bytes:
        return struct.pack("<I", 70016) + self._list(32, int(self._rng.integers(1, 32))) + self._hash()

    def _coinbase(self) -> bytes:
        return coinbase(HEIGHT, self._rng)

    def _block(self, count: int) -> bytes:
        first, which = self._coinbase(), self._which(count)
        stripped = first[:4] + first[6:-38] + first[-4:]  # without marker, flag and its one witness item
        root = merkle_root([sha256d(stripped), *(self._txids[i] for i in which)])
        head = self._header()
        return head[:36] + root + head[68:] + counted(1 + count, first + b"".join(self._txs[i] for i in which))

    def _cmpctblock(self) -> bytes:
        count = FULL_BLOCK if self._seldom() else self._few()
        return self._header() + self._rng.bytes(8) + self._list(6, count) + b"\1\0" + self._coinbase()

    def _getblocktxn(self) -> bytes:
        between = self._rng.geometric(1 / 100, self._few()) - 1
        return self._hash() + counted(len(between), b"".join(counted(n) for n in between.tolist()))

    def _merkleblock(self) -> bytes:
        """The first of 2 ** n transactions, with the branch that proves it: n + 1 flags set on the way down, and n not."""
        depth = min(self._few(), 11)
        root, branch = self._hash(), b""
        for sibling in (b"", *(self._hash() for _ in range(depth))):
            branch += sibling or root
            root = sha256d(root + sibling) if sibling else root
        head, flags = self._header(), ((1 << (depth + 1)) - 1).to_bytes((2 * depth + 8) // 8, "little")
        return head[:36] + root + head[68:] + struct.pack("<I", 1 << depth) + counted(1 + depth, branch) + text(flags)

    def _reject(self) -> bytes:
        code, reason = (
            (0x12, b"txn-already-known"),
            (0x10, b"bad-txns-inputs-missingorspent"),
            (0x42, b"min relay fee not met"),
        )[int(self._rng.integers(3))]
        return text(b"tx") + bytes([code]) + text(reason) + self._hash()

    def _alert(self) -> bytes:
        now = START // SECOND
        head = struct.pack("<iqqii", 1, now + 86_400, now + 604_800, 1000 + self._number(6), 1000)
        signed = head + b"\0" + struct.pack("<iiBi", 10_000, 61_000, 0, 100) + b"\0" + text(b"see the website") + b"\0"
        return text(signed) + text(self._rng.bytes(71))

    def _strange(self) -> bytes:
        return self._rng.bytes(self._few())
