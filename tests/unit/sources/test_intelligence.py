"""`sources/intelligence.py`: what files say is known, changes when they do, and never ends the watcher."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from peerwatch.sources.intelligence import Intelligence, IntelligenceError, load_origins
from tests.reference.asmap import bits_of, encode, tree_of
from tests.reference.mmdb import IPV4
from tests.reference.mmdb import encode as database

MAP = encode(tree_of({bits_of("1.2.0.0/16"): 64500}))
OTHER_MAP = encode(tree_of({bits_of("1.2.0.0/16"): 64501}))
DATABASE = database({IPV4 + "0000000100000010": {"asn": 1}, IPV4 + "00000101": {"autonomous_system_number": 64502}})
DAY = 1_700_000_000
"""14 November 2023."""


def put(path: Path, content: bytes | str, seconds: int = DAY) -> str:
    """Write a file that was last changed at a time; as operators do, in place."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, (seconds, seconds))
    return str(path)


def test_without_files_nothing_is_known() -> None:
    """The default has no map and no lists."""
    origins = load_origins()
    assert (origins.asn_of("1.2.3.4"), origins.asn_map, origins.lists_of("1.2.3.4")) == (None, None, [])


def test_the_asmap_is_asked_first(tmp_path: Path) -> None:
    """An asmap has the first word, a database what it leaves open, and both are named with their dates."""
    origins = load_origins(put(tmp_path / "ip_asn.map", MAP), put(tmp_path / "asn.mmdb", DATABASE, DAY + 86_400))
    hosts = ["1.2.3.4", "2002:102:304::1", "5.1.2.3", "6.1.2.3", "127.0.0.1", "nonsense", "a" * 56 + ".onion"]
    assert [origins.asn_of(host) for host in hosts] == [64500, 64500, 64502, None, None, None, None]
    assert origins.asn_map == "ip_asn.map (2023-11-14), then asn.mmdb (2023-11-15)"


def test_lists_have_name_and_date(tmp_path: Path) -> None:
    """An address is on all lists that have it, called by their names in the configuration and the day of the file."""
    lists = {"exit nodes": put(tmp_path / "exits", "1.2.3.4\n"), "bans": put(tmp_path / "bans", '{"banned_nets": []}')}
    origins = load_origins(lists=lists | {"range": put(tmp_path / "range", "1.2.0.0/16")})
    assert origins.lists_of("1.2.3.4") == ["exit nodes (2023-11-14)", "range (2023-11-14)"]
    assert origins.lists_of("1.3.3.4") == []


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """What is rewritten in place or replaced holds from the next refresh on, for all who have the origins already."""
    asmap, exits = tmp_path / "asmap", tmp_path / "exits"
    intelligence = Intelligence(put(asmap, MAP), None, {"exits": put(exits, "1.2.3.4")})
    origins = intelligence.origins
    asn_of = origins.asn_of
    assert not intelligence.refresh()
    put(asmap, OTHER_MAP, DAY + 86_400)
    put(tmp_path / "new", "5.6.7.8", DAY + 86_400)
    (tmp_path / "new").replace(exits)
    assert asn_of("1.2.3.4") == 64500
    assert intelligence.refresh()
    assert (asn_of("1.2.3.4"), origins.asn_map) == (64501, "asmap (2023-11-15)")
    assert (origins.lists_of("5.6.7.8"), origins.lists_of("1.2.3.4")) == (["exits (2023-11-15)"], [])
    assert not intelligence.refresh()


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(MAP[:-3])])
def test_what_a_spoiled_file_said_holds(tmp_path: Path, spoil) -> None:
    """A file that is gone or half written is said once it is noticed, is not read again and again, and comes back by itself."""
    asmap = tmp_path / "asmap"
    intelligence = Intelligence(put(asmap, MAP))
    spoil(asmap)
    assert intelligence.refresh()
    assert intelligence.origins.asn_of("1.2.3.4") == 64500
    assert intelligence.origins.asn_map == "asmap (2023-11-14)"
    assert len(intelligence.remarks) == 1
    assert str(asmap) in intelligence.remarks[0]
    assert not intelligence.refresh()
    put(asmap, OTHER_MAP, DAY + 5)
    assert intelligence.refresh()
    assert (intelligence.origins.asn_of("1.2.3.4"), list(intelligence.remarks)) == (64501, [])


def test_wrong_entries_are_said(tmp_path: Path) -> None:
    """Lines of a list that are no address are a remark."""
    intelligence = Intelligence(lists={"mine": put(tmp_path / "mine", "1.2.3.4\n\nwhat?\n")})
    assert list(intelligence.remarks) == ["Of the 2 entries of the list mine, 1 are no address, the first in line 3."]


BAD = {
    "no asmap": (lambda here: {"asmap": put(here / "f", b"\xff" * 64)}, "cannot be used, for it is no asmap"),
    "no database": (lambda here: {"mmdb": put(here / "f", MAP)}, "cannot be used, for it is no MaxMind database"),
    "no list": (lambda here: {"lists": {"mine": put(here / "f", b"\0\1\2")}}, "cannot be used, for it has no address"),
    "no file": (lambda here: {"asmap": str(here / "nothing")}, r"cannot be read \(No such file or directory\): name a file"),
    "a folder": (lambda here: {"asmap": str(here)}, "name a file of at most"),
    "a comma": (lambda here: {"lists": {"a,b": put(here / "f", "1.2.3.4")}}, "without a comma"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path: Path, bad: str) -> None:
    """At the start a file that cannot be used is an error that names it and says what to do."""
    arguments, message = BAD[bad]
    with pytest.raises(IntelligenceError, match=message) as caught:
        Intelligence(**arguments(tmp_path))
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
