"""The ways in which nodes are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from peerwatch.app.config import Config, NodeConfig
from peerwatch.app.nodes import Nodes
from peerwatch.app.ways import Ways
from peerwatch.schema.table import Identity
from peerwatch.sources.intelligence import Intelligence
from peerwatch.sources.several import Opening, Part
from peerwatch.store.archive import Archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An empty archive."""
    with Archive.create_or_open(tmp_path / "archive") as made:
        yield made


def ways_of(archive: Archive, *nodes: NodeConfig) -> dict[Part, Opening]:
    config = Config(node=list(nodes))
    return Ways(config, Nodes(config, str), archive, lambda _: {}, Intelligence())()


def names(found: dict[Part, Opening]) -> set[str]:
    return {part.way for part in found}


def test_a_data_directory_opens_every_way_but_the_probe(archive: Archive, tmp_path: Path) -> None:
    """RPC and process wherever it is, the capture once there is one, the probe when it is asked for."""
    node = NodeConfig("a", datadir=str(tmp_path))
    assert names(ways_of(archive, node)) == {"rpc", "debuglog", "process"}
    (tmp_path / "message_capture").mkdir()
    assert names(ways_of(archive, node)) == {"rpc", "debuglog", "process", "capture"}
    probing = NodeConfig("a", datadir=str(tmp_path), probe="v2")
    assert names(ways_of(archive, probing)) == {"rpc", "debuglog", "process", "capture", "probe"}


def test_what_is_off_is_not_opened(archive: Archive, tmp_path: Path) -> None:
    """Each way has its switch."""
    node = NodeConfig("a", datadir=str(tmp_path), rpc="off", log="off", capture="off", process="off")
    assert ways_of(archive, node) == {}


def test_the_same_is_the_same_again(archive: Archive, tmp_path: Path) -> None:
    """Asked twice, nothing is opened anew; another end of the node is something else."""
    node = NodeConfig("a", datadir=str(tmp_path))
    first, second = ways_of(archive, node), ways_of(archive, node)
    assert {part: opening.what for part, opening in first.items()} == {part: opening.what for part, opening in second.items()}
    other = ways_of(archive, NodeConfig("a", datadir=str(tmp_path), rpc="5"))
    assert other[Part("a", "rpc")].what != first[Part("a", "rpc")].what


def test_sources_that_are_opened_look(archive: Archive, tmp_path: Path) -> None:
    """What is opened is a source of that name, and it says by itself that there is no node."""
    for part, opening in ways_of(archive, NodeConfig("a", datadir=str(tmp_path), probe="v1", p2p="9")).items():
        source = opening.open()
        try:
            assert source.name == part.way
            assert source.live
        finally:
            source.close()


def test_a_capture_goes_on_where_it_was(archive: Archive, tmp_path: Path) -> None:
    """The position of the last session of the very node and source is asked for."""
    (tmp_path / "message_capture").mkdir()
    node = NodeConfig("a", capture=str(tmp_path))
    config, asked = Config(node=[node]), list[Identity]()

    def position(identity: Identity) -> dict[str, int]:
        asked.append(identity)
        return {}

    ways = Ways(config, Nodes(config, str), archive, position, Intelligence())
    ways()[Part("a", "capture")].open().close()
    assert asked == []
