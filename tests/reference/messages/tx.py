"""`tx`."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.reference.messages.inv import item
from tests.reference.reader import Reader, Rows
from tests.reference.transactions import transaction, valid

TYPES = ("tx",)


def decode(reader: Reader, _kind: str) -> Rows:
    tx = transaction(reader)
    yield {
        "txid": tx.txid,
        "wtxid": tx.wtxid,
        "txid_item": item(tx.txid, reader.key),
        "wtxid_item": item(tx.wtxid, reader.key),
        "version": tx.version,
        "inputs": tx.inputs,
        "outputs": tx.outputs,
        "weight": tx.weight,
        "witness": len(tx.whole) - len(tx.stripped),
        "lock_time": tx.lock_time,
    }


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    return valid()
