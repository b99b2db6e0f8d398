"""Payloads and ids as they were, for the level that keeps them."""

from __future__ import annotations

import numpy as np

from peerwatch.wire.bodies import bodies, inventory_ids, payloads
from peerwatch.wire.dissect import dissect
from peerwatch.wire.keyed_hash import keyed_hash
from peerwatch.wire.raw import RawMessages
from tests.reference.decode import IDENTITY, KEY, raw
from tests.reference.reader import compact_size


def entry(number: int) -> bytes:
    return (1).to_bytes(4, "little") + number.to_bytes(32, "big")


def test_payloads_are_what_was_kept() -> None:
    """Whole, cut and of unknown types; a message of which nothing was kept has no row."""
    sent = [("ping", b"12345678", 8), ("verack", b"", 0), ("zzz", b"\0\xff", 900), ("tx", b"", 50)]
    batch = payloads(IDENTITY, raw(sent))
    rows = batch.select(["seq", "type", "size", "payload"]).to_pylist()
    assert rows == [
        {"seq": 5, "type": "ping", "size": 8, "payload": b"12345678"},
        {"seq": 7, "type": "zzz", "size": 900, "payload": b"\0\xff"},
    ]
    batch.validate(full=True)


def test_no_payloads() -> None:
    """An empty chunk gives no rows."""
    assert payloads(IDENTITY, RawMessages.none()).num_rows == 0


def test_ids_are_those_behind_the_items() -> None:
    """Each entry has its own, whatever the width of the count in front, also in a message that was cut."""
    lists = [range(1, 4), range(10, 300), range(400, 405)]
    sent = [("inv", compact_size(len(n), width) + b"".join(map(entry, n))) for n, width in zip(lists, (1, 3, 1), strict=True)]
    messages = raw([*((kind, body, len(body)) for kind, body in sent), ("getdata", compact_size(9) + entry(7) + b"\1", 9 * 36)])
    dissection = dissect(IDENTITY, messages, KEY)
    inventory, of = dissection.tables["inventory"], dissection.message_of["inventory"]
    ids = inventory_ids(IDENTITY, messages, inventory, of)
    wanted = [number.to_bytes(32, "big") for number in [*(n for some in lists for n in some), 7]]
    assert ids.column("id").to_pylist() == wanted
    hashed = keyed_hash(np.frombuffer(b"".join(wanted), np.uint8).reshape(-1, 32), KEY)
    assert ids.column("item").to_pylist() == hashed.tolist()
    assert ids.column("idx").equals(inventory.column("idx"))


def test_bodies_of_a_chunk() -> None:
    """Both tables where there is something for them, and none that is empty."""
    for sent, wanted in (
        (("inv", compact_size(1) + entry(1), 37), ["payload", "inventory_id"]),
        (("ping", bytes(8), 8), ["payload"]),
        (("verack", b"", 0), []),
    ):
        messages = raw([sent])
        assert list(bodies(IDENTITY, messages, dissect(IDENTITY, messages, KEY))) == wanted
