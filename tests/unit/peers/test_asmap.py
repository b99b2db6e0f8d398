"""`peers/asmap.py`: maps in Bitcoin Core's format give the systems that they were made of, and broken ones are refused."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.peers.asmap import Asmap, AsmapError
from peerwatch.peers.netgroup import mappable
from tests.reference.asmap import (
    ASN,
    DEFAULT,
    DISTANCE,
    JUMP,
    MATCH,
    PATTERN,
    RETURN,
    Interpreter,
    Tree,
    bits_of,
    encode,
    find,
    number,
    pack,
    tree_of,
)

DATA = Path(__file__).parents[2] / "data/asmap"

OF_CORE = bytes.fromhex(
    "fb03ec0fb03fc0fe00fb03ec0fb03fc0fe00fb03ec0fb0fffffeffedb0ffd486e628290000400000400040990100800180040000050006001cf039"
)
"""The map of Bitcoin Core's own tests (src/test/data/asmap.raw)."""

systems = st.one_of(st.integers(1, 5), st.sampled_from([32768, 32769, 98305, 400_000, 33_521_664]))
prefixes = st.dictionaries(st.text("01", max_size=40), systems, min_size=1, max_size=25)
addresses = st.lists(st.integers(0, 2**128 - 1), max_size=10)


def ip(host: str) -> bytes:
    """An address as it is looked up."""
    found = mappable(host)
    assert found is not None
    return found


def around(tree: Tree, prefix: str = "") -> list[str]:
    """First and last address (bits) of every leaf of a tree."""
    if isinstance(tree, tuple):
        return around(tree[0], prefix + "0") + around(tree[1], prefix + "1")
    return [prefix.ljust(128, "0"), prefix.ljust(128, "1")]


@given(prefixes, addresses)
def test_lookups_give_what_the_map_was_made_of(given_prefixes: dict[str, int], others: list[int]) -> None:
    """At both ends of every prefix and anywhere else, a lookup is the longest prefix's system, as interpreted."""
    tree = tree_of(given_prefixes)
    data = encode(tree)
    asmap, interpreter = Asmap(data), Interpreter(data)
    wanted = around(tree) + [f"{address:0128b}" for address in others]
    packed = [int(bits, 2).to_bytes(16, "big") for bits in wanted]
    expected = [find(tree, bits) for bits in wanted]
    assert [asmap.lookup(address) for address in packed] == expected
    assert [interpreter.run(bits) for bits in wanted] == expected


def test_the_map_of_core_s_tests_is_read_as_there() -> None:
    """Core's tests (src/test/addrman_tests.cpp) rely on these systems of their map; what it does not have is 0."""
    asmap = Asmap(OF_CORE)
    assert asmap.lookup(ip("250.1.1.1")) == 1000
    assert [asmap.lookup(ip(f"101.{n}.1.1")) for n in range(1, 9)] == list(range(1, 9))
    assert asmap.lookup(ip("8.8.8.8")) == asmap.lookup(ip("2001:2001::1")) == 0


def test_wrapped_ipv4_addresses_are_looked_up_as_themselves() -> None:
    """6to4, Teredo and NAT64 addresses have the system of the IPv4 address in them."""
    asmap = Asmap(OF_CORE)
    assert {asmap.lookup(ip(host)) for host in ("2002:fa01:203::1", "2001:0:9999::5fe:fdfc", "64:ff9b::250.1.2.3")} == {1000}


def test_the_example_is_what_its_source_says() -> None:
    """The map in tests/data is the encoder's of the text beside it, and its lookups are those of the networks in it."""
    lines = [line.split() for line in (DATA / "example.txt").read_text().splitlines() if not line.startswith("#")]
    networks = {ipaddress.ip_network(network): int(asn.removeprefix("AS")) for network, asn in lines}
    data = (DATA / "example.dat").read_bytes()
    assert data == encode(tree_of({bits_of(str(network)): asn for network, asn in networks.items()}))
    asmap = Asmap(data)
    for network, asn in networks.items():
        inner = max(
            (n for n in networks if n.version == network.version and n[0] <= network[-1] <= n[-1]), key=lambda n: n.prefixlen
        )
        assert asmap.lookup(ip(str(network[-1]))) == networks[inner]
        assert asn in [asmap.lookup(ip(str(address))) for address in (network[0], network[-1])]


DEEP = "".join(JUMP + number(*DISTANCE, 17) + RETURN + number(*ASN, 1) for _ in range(129)) + RETURN + number(*ASN, 2)

BROKEN = {
    "": "ends within",
    RETURN: "ends within",
    RETURN + number(*ASN, 70_000)[:15]: "ends within",
    DEFAULT + number(*ASN, 7) + RETURN + number(*ASN, 8): "a default that nothing needs",
    DEFAULT + number(*ASN, 7) + DEFAULT + number(*ASN, 8) + JUMP: "a default that nothing needs",
    MATCH + number(*PATTERN, 0b10) + MATCH + number(*PATTERN, 0b11) + RETURN + number(*ASN, 1): "two short matches",
    MATCH + number(*PATTERN, 0b11): "ends within",
    (MATCH + number(*PATTERN, 0b1_0000_0000)) * 17 + RETURN + number(*ASN, 1): "more than 128 bits",
    DEEP: "more than 128 bits",
    JUMP + number(*DISTANCE, 100) + RETURN + number(*ASN, 1): "a jump beyond the end",
    JUMP + number(*DISTANCE, 17) + DEFAULT + number(*ASN, 2) + (RETURN + number(*ASN, 1)) * 2: "a jump leads into",
    JUMP + number(*DISTANCE, 18) + (RETURN + number(*ASN, 1)) * 3: "nothing leads to",
    JUMP + number(*DISTANCE, 17) + JUMP + number(*DISTANCE, 17) + (RETURN + number(*ASN, 1)) * 3: "two jumps that cross",
    RETURN + number(*ASN, 1) + "0" * 15: "the file goes on",
    RETURN + number(*ASN, 1) + "0000001": "the file goes on",
}


@pytest.mark.parametrize(("bits", "why"), BROKEN.items(), ids=range(len(BROKEN)))
def test_what_core_refuses_is_refused(bits: str, why: str) -> None:
    """Each rule of Core's check has a program that breaks it, and the error says which."""
    with pytest.raises(AsmapError, match=why):
        Asmap(pack(bits))


@given(prefixes, st.data())
def test_broken_files_end_in_an_error(given_prefixes: dict[str, int], data: st.DataObject) -> None:
    """A file that was cut or changed is refused, or read to the end like the interpreter does: nothing else is raised."""
    whole = encode(tree_of(given_prefixes))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    if not whole.startswith(cut + bytes(len(whole) - len(cut))):
        with pytest.raises(AsmapError):
            Asmap(cut)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    with suppress(AsmapError):
        asmap = Asmap(changed)
        for address in (0, 2**128 - 1, data.draw(st.integers(0, 2**128 - 1))):
            assert asmap.lookup(address.to_bytes(16, "big")) == Interpreter(changed).run(f"{address:0128b}")


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_read(garbage: bytes) -> None:
    """Bytes of any kind are a map or an AsmapError, whatever else they could be."""
    with suppress(AsmapError):
        Asmap(garbage).lookup(bytes(16))
