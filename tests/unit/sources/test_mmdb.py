"""`sources/mmdb.py`: a database gives the systems that are in it, however it is laid out; a broken one is refused."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from io import BytesIO

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.peers.netgroup import mappable
from peerwatch.sources.mmdb import Mmdb, MmdbError
from tests.reference.mmdb import IPV4, encode

sizes = st.sampled_from([24, 28, 32])
records = st.integers(1, 5).map(lambda asn: {"autonomous_system_number": asn, "autonomous_system_organization": "someone"})
of_ipv4 = st.dictionaries(st.text("01", min_size=1, max_size=32).map(lambda bits: IPV4 + bits), records, max_size=10)
of_ipv6 = st.dictionaries(st.text("01", min_size=1, max_size=64).map(lambda bits: "001" + bits), records, max_size=10)
ALIASES = tuple(f"{int(ipaddress.IPv6Address(text)):0128b}"[:bits] for text, bits in (("2002::", 16), ("::ffff:0:0", 96)))


def looked_up(reader: maxminddb.Reader, ip: bytes) -> int:
    """What `maxminddb` itself says of an address."""
    address = ipaddress.IPv6Address(ip)
    record = reader.get(address.ipv4_mapped or address)
    return record["autonomous_system_number"] if record else 0


def addresses(prefixes: dict[str, object]) -> list[bytes]:
    """First and last address of every prefix, IPv4 in the mapped form."""
    bits = [prefix.ljust(128, fill) for prefix in prefixes for fill in "01"]
    return [(int(b, 2) | (0xFFFF << 32 if b.startswith(IPV4) else 0)).to_bytes(16, "big") for b in bits]


@given(of_ipv4, of_ipv6, sizes, st.lists(st.binary(min_size=16, max_size=16), max_size=5))
def test_lookups_are_those_of_the_library(
    ipv4: dict[str, object], ipv6: dict[str, object], record_size: int, others: list[bytes]
) -> None:
    """In a database of both, every address has the system that `maxminddb` reads there, with any size of record."""
    data = encode(ipv4 | ipv6, record_size=record_size)
    database, reader = Mmdb(data), maxminddb.open_database(BytesIO(data), maxminddb.MODE_FD)
    for ip in [*addresses(ipv4 | ipv6), *others]:
        assert database.lookup(ip) == looked_up(reader, ip)


@given(of_ipv4, sizes)
def test_a_database_of_ipv4_has_no_others(prefixes: dict[str, object], record_size: int) -> None:
    """Where only IPv4 is, it is found, and no address of IPv6 has a system."""
    data = encode({prefix.removeprefix(IPV4): record for prefix, record in prefixes.items()}, version=4, record_size=record_size)
    database, reader = Mmdb(data), maxminddb.open_database(BytesIO(data), maxminddb.MODE_FD)
    for ip in addresses(prefixes):
        assert database.lookup(ip) == looked_up(reader, ip)
        assert database.lookup(b"\x20\x01" + ip[2:]) == 0


def test_ipv4_addresses_in_other_forms_are_looked_up_as_themselves() -> None:
    """A database that has IPv4 at several places is read once, and 6to4 addresses have the system of what they wrap."""
    record = {"autonomous_system_number": 64500}
    data = encode({IPV4 + "00000001": record, "0010101": record}, aliases=ALIASES)
    database = Mmdb(data)
    assert len(database) < len(Mmdb(encode({IPV4 + "00000001": record, "0010101": record}))) + 2
    for host, asn in {"1.2.3.4": 64500, "2.2.3.4": 0, "2002:102:304::1": 64500, "2002:202:304::1": 0, "2a00::1": 64500}.items():
        ip = mappable(host)
        assert ip is not None
        assert database.lookup(ip) == asn


RECORDS = {
    64500: {"autonomous_system_number": 64500},
    64501: {"asn": "AS64501", "as_name": "someone"},
    64502: {"asn": 64502},
    64503: {"as_number": "64503"},
}
NONE = [{"asn": "AS"}, {"asn": "ASx"}, {"asn": "99999999999"}, {"asn": {"asn": 1}}, {"country": "XX"}, "text", [1], {}]


@pytest.mark.parametrize(("asn", "record"), [*RECORDS.items(), *((0, record) for record in NONE)])
def test_systems_are_found_whatever_they_are_called(asn: int, record: object) -> None:
    """Publishers write the number under several names, as a number or text; a record that has none tells nothing."""
    database = Mmdb(encode({IPV4 + "0": record}))
    assert database.lookup(bytes(10) + b"\xff\xff\1\2\3\4") == asn


def test_a_tree_that_leads_back_is_refused() -> None:
    """A tree with a loop, in which a lookup would never end or a way is there twice, is refused."""
    data = encode({"000": {"asn": 1}, "111": {"asn": 2}}, record_size=24)
    for place in range(0, 30, 3):
        looped = data[:place] + bytes(3) + data[place + 3 :]
        with pytest.raises(MmdbError, match="leads back"):
            Mmdb(looped)


@given(st.binary(max_size=100))
def test_garbage_is_refused(garbage: bytes) -> None:
    """What is no database is an MmdbError, with or without the mark of one."""
    for data in (garbage, garbage + b"\xab\xcd\xefMaxMind.com" + garbage):
        with pytest.raises(MmdbError):
            Mmdb(data)


@given(st.data())
def test_broken_databases_raise_nothing_else(data: st.DataObject) -> None:
    """A database with any byte changed is refused, or answers with numbers."""
    whole = encode({IPV4 + "0": {"asn": 7}, IPV4 + "11": {"asn": "AS8"}, "001": {"autonomous_system_number": 9}})
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + data.draw(st.binary(min_size=1, max_size=1)) + whole[at + 1 :]
    with suppress(MmdbError):
        database = Mmdb(changed)
        for ip in (b"\x20" * 16, bytes(10) + b"\xff\xff\1\2\3\4", bytes(10) + b"\xff\xff\xff\2\3\4"):
            assert 0 <= database.lookup(ip) < 2**32
