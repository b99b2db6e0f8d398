"""`tx`: transactions, with their witnesses where they have any (BIP 144)."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.schema.tables.transaction import Transaction
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH, Dissected, Dissector, Payloads, WireError
from peerwatch.wire.keyed_hash import ID_BYTES, keyed_hash
from peerwatch.wire.layout import fields
from peerwatch.wire.transactions import WITNESS_SCALE_FACTOR, Malformed, ids, walk

REMEMBERED = 4096
"""Different payloads that are remembered at once."""
REMEMBERED_BYTES = 4096
"""Longest payload that is remembered."""

_NONE, _TRUNCATED = int(WireError.NONE), int(WireError.TRUNCATED)
_NO_IDS = bytes(2 * ID_BYTES)
_FOUND = 5
"""Numbers that are found of each payload: error, end, inputs, outputs, bytes of witness."""


class TxDissector(Dissector):
    """Version (u32), inputs, outputs, witnesses, lock time (u32).

    A node sends one transaction to many peers: payloads of the same bytes are walked over and hashed once a batch.
    """

    types = ("tx",)
    table = Transaction
    needs = MAX_PROTOCOL_MESSAGE_LENGTH
    source = "BIP 144; Core, primitives/transaction.h: UnserializeTransaction"

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose transaction ends, and is one."""
        of, found, txids = _different(payloads)
        error, end = found[of, 0].astype(np.int8), found[of, 1]
        message = np.flatnonzero(error == WireError.NONE)
        error[(error == WireError.TRUNCATED) & (payloads.kept < payloads.size)] = WireError.NONE
        error[message[end[message] < payloads.size[message]]] = WireError.TRAILING
        of, start = of[message], payloads.start[message]
        _, end, inputs, outputs, witness = found[of].T
        columns = {
            "txid": txids[of, 0],
            "wtxid": txids[of, 1],
            "txid_item": keyed_hash(txids[:, 0], payloads.key)[of],
            "wtxid_item": keyed_hash(txids[:, 1], payloads.key)[of],
            "version": fields(payloads.buf, start, "<u4"),
            "inputs": inputs.astype(np.int32),
            "outputs": outputs.astype(np.int32),
            "weight": ((WITNESS_SCALE_FACTOR - 1) * (end - witness) + end).astype(np.int32),
            "witness": witness.astype(np.int32),
            "lock_time": fields(payloads.buf, start + end - 4, "<u4"),
        }
        return Dissected(columns, message, error)


def _different(payloads: Payloads) -> tuple[Array, Array, Array]:
    """Each different payload once, walked over and hashed.

    Returns:
        Which of them each payload is (int64); what was found in it (int64, shape (different, _FOUND)); its txid and wtxid (uint8,
        shape (different, 2, ID_BYTES)). Zeros where an error is.
    """
    view = payloads.buf.data
    known: dict[bytes, int] = {}
    of: list[int] = []
    found: list[int] = []
    hashes: list[bytes] = []
    for start, kept in zip(payloads.start.tolist(), payloads.kept.tolist(), strict=True):
        data = view[start : start + kept].tobytes()
        number = known.get(data)
        if number is None:
            number = len(hashes)
            try:
                end, inputs, outputs, witness = walk(data, 0)
            except IndexError:
                found += (_TRUNCATED, 0, 0, 0, 0)
                hashes.append(_NO_IDS)
            except Malformed as malformed:
                found += (int(malformed.error), 0, 0, 0, 0)
                hashes.append(_NO_IDS)
            else:
                found += (_NONE, end, inputs, outputs, witness)
                hashes.append(ids(data, end, witness))
            if kept <= REMEMBERED_BYTES:
                if len(known) == REMEMBERED:
                    known.clear()
                known[data] = number
        of.append(number)
    numbers = np.array(found, np.int64).reshape(-1, _FOUND)
    return np.array(of, np.int64), numbers, np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 2, ID_BYTES)
