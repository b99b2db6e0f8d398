"""`sources/address_list.py`: lists say yes to what is on them, whatever their form, and count what they cannot read."""

from __future__ import annotations

import ipaddress
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.sources.address_list import AddressList, AddressListError
from tests.unit.peers.test_netgroup import TOR, i2p

I2P = i2p(b"\x07" * 32)
networks = st.one_of(
    st.builds(lambda n, bits: ipaddress.ip_network((n, bits), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32)),
    st.builds(
        lambda n, bits: ipaddress.ip_network((n, bits), strict=False), st.integers(2**125, 2**128 - 1), st.integers(3, 128)
    ),
)


def listed(text: str, *hosts: str) -> list[bool]:
    """Whether each of these is on a list."""
    found = AddressList(text.encode())
    return [found.has(host) for host in hosts]


@given(st.lists(networks, max_size=12), st.integers(0, 2**32 - 1))
def test_subnets_contain_what_the_standard_library_says(given_networks: list[ipaddress.IPv4Network], other: int) -> None:
    """At the edges of all subnets, just outside of them, and anywhere, an address is on the list if one of them contains it."""
    found = AddressList("\n".join(map(str, given_networks)).encode())
    hosts = [ipaddress.ip_address(other)]
    for network in given_networks:
        hosts += [network[0], network[-1]]
        hosts += [network[0] - 1] if int(network[0]) else []
        hosts += [network[-1] + 1] if int(network[-1]) < 2**network.max_prefixlen - 1 else []
    for host in hosts:
        assert found.has(str(host)) == any(host in network for network in given_networks if network.version == host.version)


def test_each_form_of_a_line_is_understood() -> None:
    """Addresses, subnets, netmasks, names, ports, comments, more columns, and no line at all."""
    text = f"""\ufeff# a list
    1.2.3.4
    5.6.0.0/16   # with a comment
    7.8.9.0/255.255.255.128;SBL1
    [2001:2001::]:8333
    2a00::/12, somebody
    {TOR}:8333

    {I2P.upper()}
    ::ffff:9.9.9.0/120
    fc00::/8"""
    assert (
        listed(text, "1.2.3.4", "5.6.255.255", "7.8.9.127", "2001:2001::", "2a0f::1", TOR, I2P, "9.9.9.9", "fc12::1")
        == [True] * 9
    )
    others = ("1.2.3.5", "5.7.0.0", "7.8.9.128", "2001:2001::1", "2a10::1", i2p(bytes(32)), "9.9.8.9", "fd00::1", "nonsense", "")
    assert listed(text, *others) == [False] * len(others)
    assert AddressList(text.encode()).wrong == 0


def test_tor_s_list_of_exit_nodes_is_understood() -> None:
    """Of its four kinds of lines one has addresses, and none of the others is called wrong."""
    text = """ExitNode 0011BD2485AD45D984EC4159C88FC066E5E3300E
Published 2026-01-01 12:00:00
LastStatus 2026-01-01 13:00:00
ExitAddress 162.247.74.201 2026-01-01 13:10:00
"""
    found = AddressList(text.encode())
    assert found.has("162.247.74.201")
    assert (found.entries, found.wrong) == (1, 0)


@pytest.mark.parametrize("wrap", [lambda bans: {"banned_nets": bans}, lambda bans: bans])
def test_core_s_bans_are_understood(wrap) -> None:
    """`banlist.json` and the answer to `listbanned` have the same entries."""
    bans = [{"address": "1.2.3.0/24", "ban_created": 1}, {"address": "2001:2001::1/128"}, {"address": TOR}]
    assert listed(json.dumps(wrap(bans), indent=2), "1.2.3.4", "2001:2001::1", TOR, "1.2.4.1") == [True, True, True, False]
    assert listed(json.dumps(wrap([])), "1.2.3.4") == [False]


@pytest.mark.parametrize("text", ["{", '{"banned_nets": 5}', '[{"addr": "1.2.3.4"}]', "{}", '{"a":' * 100_000], ids=range(5))
def test_other_json_is_refused(text: str) -> None:
    """What looks like JSON but is no list of bans is not taken for an empty list."""
    with pytest.raises(AddressListError, match="JSON"):
        AddressList(text.encode())


WRONG = [
    *("1.2.3.256", "1.2.3.0/33", "1.2.3.0/-1", "1.2.3.0/255.0.255.0", "1.2.3.4/", "1.2.3.4/٣", "2001::/129", "2001::/255.0.0.0"),
    *("::ffff:0:0/95", f"{TOR}/32", "a" * 56 + ".onion", "aaaaaaaaaaaaaaaa.internal", "example.org"),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_entries_are_counted(wrong: str) -> None:
    """An entry that is none does no harm to the others, and is counted with the line of the first; alone it is an error."""
    found = AddressList(f"# list\n1.2.3.4\n{wrong}\n{wrong}\n".encode())
    assert (found.entries, found.wrong, found.first_wrong) == (3, 2, 3)
    assert found.has("1.2.3.4")
    assert not found.has("1.2.3.5")
    with pytest.raises(AddressListError, match="no address"):
        AddressList(wrong.encode())


@given(st.one_of(st.binary(max_size=300), st.text('[]{}",:/.# 0123456789abcdef\n', max_size=200).map(str.encode)))
def test_garbage_is_refused_or_read(garbage: bytes) -> None:
    """Bytes of any kind are a list or an AddressListError."""
    with suppress(AddressListError):
        AddressList(garbage).has("1.2.3.4")
