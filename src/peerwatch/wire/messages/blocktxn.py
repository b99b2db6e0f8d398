"""`blocktxn`: transactions of a block that a compact block left out, in answer to `getblocktxn` (BIP 152)."""

from __future__ import annotations

from peerwatch.schema.tables.block_relay import BlockRelay
from peerwatch.wire.block_relay import count, rows, walked
from peerwatch.wire.columns import fixed_bytes, nullable
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH, Dissected, Dissector, Payloads
from peerwatch.wire.keyed_hash import ID_BYTES
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor
from peerwatch.wire.transactions import LEAST_BYTES, walk_all


class BlocktxnDissector(Dissector):
    """Hash of the block, and a counted list of transactions. Of what the node sends, hash and count are enough."""

    types = ("blocktxn",)
    table = BlockRelay
    needs = MAX_PROTOCOL_MESSAGE_LENGTH
    needs_sent = ID_BYTES + COMPACT_SIZE_BYTES
    source = "BIP 152; Core, blockencodings.h: BlockTransactions"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose hash is there."""
        c = Cursor.over(payloads)
        block = c.octets(ID_BYTES)
        seen = c.live
        transactions = count(c, LEAST_BYTES)
        counted = c.live
        sums = walked(c, transactions, walk_all)
        columns = {"hash": fixed_bytes(block, seen), "transactions": nullable(transactions, counted), **sums.columns()}
        return rows("blocktxn", columns, seen, c)
