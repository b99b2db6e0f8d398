"""`alert`, as Core read it until v0.12: what was signed, and a signature."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.network_alert import NetworkAlert
from tests.reference.reader import Reader, Row, Rows, Stopped, filled, nulls, string

TYPES = ("alert",)
FIELDS = {"version": "<i", "relay_until": "<q", "expiration": "<q", "id": "<i", "cancel": "<i"}


def decode(reader: Reader, _kind: str) -> Rows:
    length = reader.length(4_000_000)
    start = reader.at
    sent = reader.body(length)
    row = nulls(NetworkAlert) | {"payload": sent}
    read_signed(reader, Reader(reader.kept[start : start + sent], sent, b""), row)
    yield from filled(row, signature=lambda: reader.body(reader.length(4_000_000)))


def read_signed(reader: Reader, signed: Reader, row: Row) -> None:
    try:
        for name, kind in FIELDS.items():
            row[name] = signed.number(kind)
    except Stopped as stopped:
        if stopped.error:
            reader.note(stopped.error)


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    signed = st.binary(min_size=28, max_size=60) | st.just(bytes(300))
    return st.builds(lambda alert, signature: string(alert) + string(signature), signed, st.binary(max_size=80))
