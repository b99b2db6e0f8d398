"""`getblocktxn`: asks for transactions of a block that a compact block left out (BIP 152)."""

from __future__ import annotations

from peerwatch.schema.tables.block_relay import BlockRelay
from peerwatch.wire.block_relay import MAX_INDEX, count, rows, walked
from peerwatch.wire.columns import fixed_bytes, nullable
from peerwatch.wire.dissector import Dissected, Dissector, Payloads, WireError
from peerwatch.wire.keyed_hash import ID_BYTES
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor
from peerwatch.wire.transactions import Malformed, Walked, compact_size

MOST_BYTES = COMPACT_SIZE_BYTES + (MAX_INDEX + 1)
"""Longest list that is right: all indexes there can be, a byte each. A gap that takes two bytes more leaves out 253 of them."""


class GetblocktxnDissector(Dissector):
    """Hash of the block, and a counted list of indexes, each as how many transactions lie between it and the one before."""

    types = ("getblocktxn",)
    table = BlockRelay
    needs = ID_BYTES + MOST_BYTES + COMPACT_SIZE_BYTES
    source = "BIP 152; Core, blockencodings.h: BlockTransactionsRequest, DifferenceFormatter"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose hash is there."""
        c = Cursor.over(payloads)
        block = c.octets(ID_BYTES)
        seen = c.live
        transactions = count(c, 1)
        counted = c.live
        walked(c, transactions, _walk_indexes)
        columns = {"hash": fixed_bytes(block, seen), "transactions": nullable(transactions, counted)}
        return rows("getblocktxn", columns, seen, c)


def _walk_indexes(data: bytes, count: int) -> Walked:
    """Walk over so many indexes."""
    index, at = -1, 0
    for _ in range(count):
        between, at = compact_size(data, at)
        index += 1 + between
        if index > MAX_INDEX:
            raise Malformed(WireError.INDEX_OVERFLOW)
    return at, 0, 0, 0
