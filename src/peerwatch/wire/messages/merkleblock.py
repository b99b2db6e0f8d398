"""`merkleblock`: a block's header, and proof of which transactions are in it (BIP 37)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.tables.block_relay import BlockRelay
from peerwatch.wire.block_header import HEADER_BYTES, read_header
from peerwatch.wire.block_relay import count, rows
from peerwatch.wire.columns import nullable
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH, Dissected, Dissector, Payloads
from peerwatch.wire.keyed_hash import ID_BYTES
from peerwatch.wire.layout import COMPACT_SIZE_BYTES, Cursor


class MerkleblockDissector(Dissector):
    """Header, transactions of the block (u32), a counted list of hashes, and a counted list of bytes with the tree's flags.

    Of what the node sends, everything before the hashes is enough.
    """

    types = ("merkleblock",)
    table = BlockRelay
    needs = MAX_PROTOCOL_MESSAGE_LENGTH
    needs_sent = HEADER_BYTES + 4 + COMPACT_SIZE_BYTES
    source = "BIP 37; Core, merkleblock.h: CMerkleBlock, CPartialMerkleTree"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose header is there."""
        c = Cursor.over(payloads)
        header = read_header(c)
        seen = c.live
        transactions = c.u32()
        has_transactions = c.live
        hashes = count(c, ID_BYTES)
        has_hashes = c.live
        c.skip(hashes * ID_BYTES)
        c.skip(count(c, 1))
        columns = {
            **header,
            "transactions": nullable(transactions.astype(np.int64), has_transactions),
            "hashes": nullable(hashes, has_hashes),
        }
        return rows("merkleblock", columns, seen, c)
