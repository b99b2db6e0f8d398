"""Answers of `getnetworkinfo` and `getnettotals`."""

from __future__ import annotations

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.readers.network import INFO, TOTALS, Network
from tests.unit.sources.rpc.reading import NOW, answer, read

PLACE = {
    "connections": 12,
    "connections_in": 2,
    "connections_out": 10,
    "networkactive": True,
    "timeoffset": -3,
    "warnings": "Old",
}
TRAFFIC = {"totalbytesrecv": 10**12, "totalbytessent": 5, "uploadtarget": {"target": 0, "target_reached": False}}


def test_each_answer_is_a_row_of_its_own() -> None:
    """What the other one has is null in it."""
    rows = read(Network(Known()), answer(INFO, PLACE), answer(TOTALS, TRAFFIC, 1))["network_state"]
    assert [{name: value for name, value in row.items() if value is not None} for row in rows] == [
        {
            "ts": NOW,
            "connections": 12,
            "connections_in": 2,
            "connections_out": 10,
            "active": True,
            "time_offset": -3,
            "warnings": "Old",
        },
        {"ts": NOW + SECOND, "bytes_received": 10**12, "bytes_sent": 5, "upload_target": 0, "upload_target_reached": False},
    ]


def test_what_is_missing_is_named_with_its_method() -> None:
    """A field of one answer is not missed in the other."""
    read(reader := Network(Known()), answer(INFO, PLACE), answer(TOTALS, {"totalbytesrecv": 1, "totalbytessent": 1}))
    assert reader.lacking() == ["getnettotals.uploadtarget.target", "getnettotals.uploadtarget.target_reached"]
