"""`inv`, `getdata` and `notfound`."""

from __future__ import annotations

from peerwatch.wire.messages.inv import MAX_INV_SZ
from tests.reference.decode import KEY, dissected, raw
from tests.reference.messages.inv import item
from tests.reference.reader import compact_size

TX = (0x40000001).to_bytes(4, "little") + bytes(range(32))
BLOCK = (2).to_bytes(4, "little") + bytes(32)


def test_entries() -> None:
    """Every entry is a row with its message's type, its own kind, and the keyed hash of its id."""
    made = dissected(raw([("inv", b"\2" + TX + BLOCK, 73), ("getdata", b"\1" + TX, 37), ("notfound", b"\0", 1)]))
    tx, block = item(TX[4:], KEY), item(bytes(32), KEY)
    assert made == [
        (
            [
                {"idx": 0, "message": "inv", "kind": 0x40000001, "item": tx},
                {"idx": 1, "message": "inv", "kind": 2, "item": block},
            ],
            None,
        ),
        ([{"idx": 0, "message": "getdata", "kind": 0x40000001, "item": tx}], None),
        ([], None),
    ]


def test_the_limit() -> None:
    """A message may hold 50 000 entries; of one that holds more, the first 50 000 are kept."""
    most = compact_size(MAX_INV_SZ) + TX * MAX_INV_SZ
    over = compact_size(MAX_INV_SZ + 1) + TX * (MAX_INV_SZ + 1)
    made = dissected(raw([("inv", most, len(most)), ("inv", over, len(over))]))
    assert [(len(rows), error) for rows, error in made] == [(MAX_INV_SZ, None), (MAX_INV_SZ, "over_limit")]


def test_cut_short() -> None:
    """Whole entries stay; the message is truncated if it was sent so."""
    payload = b"\2" + TX + BLOCK[:-1]
    sent, cut = dissected(raw([("inv", payload, 72), ("inv", payload, 73)]))
    assert (len(sent[0]), sent[1]) == (1, "truncated")
    assert (len(cut[0]), cut[1]) == (1, None)
