"""`block`: whole blocks, in answer to `getdata`."""

from __future__ import annotations

from dataclasses import replace

from peerwatch.schema.tables.block_relay import BlockRelay
from peerwatch.wire.block_header import HEADER_BYTES, read_header
from peerwatch.wire.block_relay import count, rows, walked
from peerwatch.wire.columns import nullable
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH, Dissected, Dissector, Payloads
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor
from peerwatch.wire.transactions import LEAST_BYTES, WITNESS_SCALE_FACTOR, walk_all


class BlockDissector(Dissector):
    """Header, and a counted list of transactions.

    Of what the node sends, header and count are enough: it may serve the whole chain to peers that begin.
    """

    types = ("block",)
    table = BlockRelay
    needs = MAX_PROTOCOL_MESSAGE_LENGTH
    needs_sent = HEADER_BYTES + COMPACT_SIZE_BYTES
    source = "Core, primitives/block.h: CBlock; BIP 144"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose header is there."""
        c = Cursor.over(payloads)
        header = read_header(c)
        seen = c.live
        transactions = count(c, LEAST_BYTES)
        counted = c.live
        head = c.pos - payloads.start
        sums = walked(c, transactions, walk_all)
        sums = replace(sums, weight=sums.weight + WITNESS_SCALE_FACTOR * head)
        columns = {**header, "transactions": nullable(transactions, counted), **sums.columns()}
        return rows("block", columns, seen, c)
