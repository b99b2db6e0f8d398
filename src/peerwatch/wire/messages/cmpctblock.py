"""`cmpctblock`: blocks as short ids of transactions that the receiver should have, and the few that it cannot have (BIP 152)."""

from __future__ import annotations

from peerwatch.schema.tables.block_relay import BlockRelay
from peerwatch.wire.block_header import read_header
from peerwatch.wire.block_relay import MAX_INDEX, count, rows, walked
from peerwatch.wire.columns import nullable
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH, Dissected, Dissector, Payloads, WireError
from peerwatch.wire.layout import Cursor
from peerwatch.wire.transactions import LEAST_BYTES, Malformed, Walked, compact_size, walk, weight

SHORTTXIDS_LENGTH = 6
"""Bytes of a short id (Core, blockencodings.h)."""


class CmpctblockDissector(Dissector):
    """Header, nonce for the short ids (u64), a counted list of short ids, and one of prefilled transactions with their indexes.

    A block of more transactions than 16-bit indexes can tell apart is INDEX_OVERFLOW, as are indexes beyond that, and those that
    leave a place before them for which there is no short id (Core, blockencodings.cpp: InitData).
    """

    types = ("cmpctblock",)
    table = BlockRelay
    needs = MAX_PROTOCOL_MESSAGE_LENGTH
    source = "BIP 152; Core, blockencodings.h: CBlockHeaderAndShortTxIDs, PrefilledTransaction"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose header is there."""
        c = Cursor.over(payloads)
        header = read_header(c)
        seen = c.live
        c.skip(8)
        short_ids = count(c, SHORTTXIDS_LENGTH)
        has_ids = c.live
        c.skip(short_ids * SHORTTXIDS_LENGTH)
        prefilled = count(c, 1 + LEAST_BYTES)
        has_prefilled = c.live
        beside = iter(short_ids[c.live].tolist())
        sums = walked(c, prefilled, lambda data, count: _walk_prefilled(data, count, next(beside)))
        c.fail(short_ids + prefilled > MAX_INDEX, WireError.INDEX_OVERFLOW)
        columns = {
            **header,
            "transactions": nullable(short_ids + prefilled, has_prefilled),
            "prefilled": nullable(prefilled, has_prefilled),
            "short_ids": nullable(short_ids, has_ids),
            **sums.columns(),
        }
        return rows("cmpctblock", columns, seen, c)


def _walk_prefilled(data: bytes, count: int, short_ids: int) -> Walked:
    """Walk over so many transactions, each behind its index: how many lie between it and the one before."""
    index, at = -1, 0
    inputs = outputs = total = 0
    for number in range(count):
        between, at = compact_size(data, at)
        index += 1 + between
        if index > MAX_INDEX or index > short_ids + number:
            raise Malformed(WireError.INDEX_OVERFLOW)
        end, more_inputs, more_outputs, witness = walk(data, at)
        inputs += more_inputs
        outputs += more_outputs
        total += weight(end - at, witness)
        at = end
    return at, inputs, outputs, total
