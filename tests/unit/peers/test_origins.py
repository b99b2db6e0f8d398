"""`peers/origins.py`: what is known of an address."""

from __future__ import annotations

from peerwatch.peers.origins import NamedList, Origins


def test_by_default_nothing_is_known() -> None:
    """Without maps and lists an address has no system and is on no list."""
    origins = Origins()
    assert (origins.asn_of("1.2.3.4"), origins.asn_map, origins.lists_of("1.2.3.4")) == (None, None, [])


def test_an_address_is_on_the_lists_that_have_it() -> None:
    """The names come in the order of the lists."""
    lists = [NamedList(name, set(hosts).__contains__) for name, hosts in (("b", "xy"), ("a", "x"), ("c", "z"))]
    assert Origins(lists=lists).lists_of("x") == ["b", "a"]
