"""`tx`: transactions, with their witnesses where they have any (BIP 144)."""

from __future__ import annotations

import struct

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.schema.tables.transaction import Transaction
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH, Dissected, Dissector, Payloads, WireError
from peerwatch.wire.keyed_hash import ID_BYTES, keyed_hash
from peerwatch.wire.layout import fields
from peerwatch.wire.transactions import WITNESS_SCALE_FACTOR, Malformed, ids, walk

REMEMBERED = 4096
"""Different payloads after which those that came before them, and not since, are forgotten."""
REMEMBERED_BYTES = 2048
"""Longest payload that is remembered; so all of them take 16 MiB at most."""

_NONE, _TRUNCATED = int(WireError.NONE), int(WireError.TRUNCATED)
_NO_IDS = bytes(2 * ID_BYTES)
_KNOWN = np.dtype([("found", "<i8", 5), ("ids", "u1", (2, ID_BYTES))])
"""What is known of a payload: error, end, inputs, outputs, bytes of witness; txid and wtxid. Zeros where an error is."""
_FOUND = struct.Struct("<5q")


class TxDissector(Dissector):
    """Version (u32), inputs, outputs, witnesses, lock time (u32).

    A node sends one transaction to many peers, within seconds: what was walked over and hashed last is remembered.
    """

    types = ("tx",)
    table = Transaction
    needs = MAX_PROTOCOL_MESSAGE_LENGTH
    source = "BIP 144; Core, primitives/transaction.h: UnserializeTransaction"

    def __init__(self) -> None:
        """Start without any."""
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}

    def dissect(self, payloads: Payloads) -> Dissected:
        """One row for each message whose transaction ends, and is one."""
        of, found, txids = self._different(payloads)
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

    def _different(self, payloads: Payloads) -> tuple[Array, Array, Array]:
        """Each different payload once.

        Returns:
            Which of them each payload is (int64); what was found in it (int64, shape (different, 5)); its txid and wtxid (uint8,
            shape (different, 2, ID_BYTES)).
        """
        view = payloads.buf.data
        number: dict[bytes, int] = {}
        of: list[int] = []
        known: list[bytes] = []
        for start, kept in zip(payloads.start.tolist(), payloads.kept.tolist(), strict=True):
            data = view[start : start + kept].tobytes()
            place = number.setdefault(data, len(known))
            if place == len(known):
                known.append(self._young.get(data) or self._remembered(data))
            of.append(place)
        all_known = np.frombuffer(b"".join(known), _KNOWN)
        return np.array(of, np.int64), all_known["found"], all_known["ids"]

    def _remembered(self, data: bytes) -> bytes:
        """What is known of a payload that did not come lately."""
        known = self._old.get(data) or _walked(data)
        if len(data) <= REMEMBERED_BYTES:
            if len(self._young) >= REMEMBERED:
                self._old, self._young = self._young, {}
            self._young[data] = known
        return known


def _walked(data: bytes) -> bytes:
    """Walk over a payload and hash it."""
    try:
        end, inputs, outputs, witness = walk(data, 0)
    except IndexError:
        return _FOUND.pack(_TRUNCATED, 0, 0, 0, 0) + _NO_IDS
    except Malformed as malformed:
        return _FOUND.pack(int(malformed.error), 0, 0, 0, 0) + _NO_IDS
    return _FOUND.pack(_NONE, end, inputs, outputs, witness) + ids(data, end, witness)
