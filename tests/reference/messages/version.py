"""`version`, as Core reads it; BIP 14 and BIP 37."""

from __future__ import annotations

from hypothesis import strategies as st

from peerwatch.schema.tables.version import Version
from peerwatch.wire.raw import printable
from tests.reference.reader import Reader, Rows, Stopped, compact_size

TYPES = ("version",)
OPTIONAL = [name for name, column in Version.columns.items() if column.nullable]


def decode(reader: Reader, _kind: str) -> Rows:
    row = dict.fromkeys(OPTIONAL)
    row = {"protocol": reader.number("<i"), "services": reader.number("<Q"), "time": reader.number("<q")} | row
    try:
        receiver = reader.number("<Q"), reader.take(16), reader.number(">H")
        row |= zip(("receiver_services", "receiver_ip", "receiver_port"), receiver, strict=True)
        if not reader.ended:
            reader.take(8)
            row |= zip(("sender_ip", "sender_port"), (reader.take(16), reader.number(">H")), strict=True)
            row["nonce"] = reader.number("<Q")
        if not reader.ended:
            row["user_agent"] = printable(reader.take(reader.length(256)))
        if not reader.ended:
            row["start_height"] = reader.number("<i")
        if not reader.ended:
            row["relay"] = reader.number("B") != 0
    except Stopped:
        yield row
        raise
    yield row


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    parts = [
        st.binary(min_size=46, max_size=46),
        st.binary(min_size=34, max_size=34),
        st.binary(max_size=40).map(lambda agent: compact_size(len(agent)) + agent) | st.just(compact_size(256) + bytes(256)),
        st.binary(min_size=4, max_size=4),
        st.binary(min_size=1, max_size=1),
    ]
    return st.integers(1, len(parts)).flatmap(lambda n: st.tuples(*parts[:n])).map(b"".join)
