"""`addr`: time, services, 16 bytes of address, port."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from tests.reference.reader import Reader, Rows, compact_size

TYPES = ("addr",)
MAPPED = bytes(10) + b"\xff\xff"
ONION_CAT = bytes.fromhex("fd87d87eeb43")


def network(ip: bytes) -> tuple[str, bytes | None, bytes | None]:
    """Label, ip and key."""
    if ip.startswith(ONION_CAT):
        return "torv2", None, ip[6:]
    return ("ipv4" if ip.startswith(MAPPED) else "ipv6"), ip, None


def decode(reader: Reader, _kind: str) -> Rows:
    for idx in range(reader.count(1000)):
        time, services, address, port = struct.unpack("<IQ16s2s", reader.take(30))
        label, ip, key = network(address)
        row = {"idx": idx, "time": time, "services": services, "network": label, "ip": ip, "key": key}
        yield row | {"port": int.from_bytes(port, "big")}


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    ip = st.binary(min_size=16, max_size=16) | st.binary(min_size=4, max_size=4).map(lambda b: MAPPED + b)
    ip |= st.binary(min_size=10, max_size=10).map(lambda b: ONION_CAT + b)
    entry = st.builds(
        lambda head, a, port: head + a + port, st.binary(min_size=12, max_size=12), ip, st.binary(min_size=2, max_size=2)
    )
    return st.lists(entry, max_size=5).map(lambda entries: compact_size(len(entries)) + b"".join(entries))
