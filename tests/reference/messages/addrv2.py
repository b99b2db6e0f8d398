"""BIP 155."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.reference.reader import Reader, Rows, Stopped, compact_size

TYPES = ("addrv2",)
LENGTHS = {1: ("ipv4", 4), 2: ("ipv6", 16), 3: ("torv2", 10), 4: ("torv3", 32), 5: ("i2p", 32), 6: ("cjdns", 16)}


def decode(reader: Reader, _kind: str) -> Rows:
    for idx in range(reader.count(1000)):
        time = reader.number("<I")
        services = reader.compact_size()
        network = reader.number("B")
        length = reader.length(512)
        label, wanted = LENGTHS.get(network, ("unknown", length))
        if length != wanted:
            raise Stopped("bad_address_length")
        address = reader.take(length)
        port = reader.number(">H")
        ip = key = None
        if label == "ipv4":
            ip = bytes(10) + b"\xff\xff" + address
        elif label in ("ipv6", "cjdns"):
            ip = address
        else:
            key = address[:32]
        yield {"idx": idx, "time": time, "services": services, "network": label, "ip": ip, "key": key, "port": port}


def entry(time: bytes, services: int, network: int, address: bytes, port: bytes) -> bytes:
    return time + compact_size(services) + bytes([network]) + compact_size(len(address)) + address + port


def payloads(_kind: str) -> st.SearchStrategy[bytes]:
    known = [st.tuples(st.just(n), st.binary(min_size=size, max_size=size)) for n, (_, size) in LENGTHS.items()]
    unknown = st.tuples(st.sampled_from([0, 7, 99, 255]), st.binary(max_size=70) | st.integers(250, 512).map(bytes))
    services = st.sampled_from([0, 0xFC, 0xFD, 0xFFFF, 2**16, 2**32 - 1, 2**32, 2**64 - 1]) | st.integers(0, 2**64 - 1)
    entries = st.builds(
        lambda time, s, where, port: entry(time, s, *where, port),
        st.binary(min_size=4, max_size=4),
        services,
        st.one_of(*known, unknown),
        st.binary(min_size=2, max_size=2),
    )
    return st.lists(entries, max_size=5).map(lambda es: compact_size(len(es)) + b"".join(es))
