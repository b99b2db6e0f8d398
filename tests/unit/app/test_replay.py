"""History through the detectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from peerwatch.app.pipeline import Settings
from peerwatch.app.replay import MADE_BY_DETECTION, Replay, open_source, replay, unseen
from peerwatch.app.watch import Watch
from peerwatch.detect.detectors.addr_flood import AddrFlood
from peerwatch.detect.registry import all_detectors
from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Level
from peerwatch.sources.archive import ArchiveSource
from peerwatch.sources.capture import CaptureError, CaptureSource
from peerwatch.sources.pace import Paced
from peerwatch.sources.simulation.folder import LABELS, write_simulation
from peerwatch.sources.simulation.simulation import Plan
from peerwatch.sources.simulation.source import SimulationSource
from peerwatch.store.archive import Archive
from peerwatch.store.errors import ArchiveError
from peerwatch.store.layout import META
from peerwatch.store.query import Query
from tests.unit.app.test_pipeline import PLAN, START

CAPTURE = Path(__file__).parents[2] / "data/captures/handshake-node0"


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulation")
    write_simulation(PLAN, folder, "alice")
    return folder


def table(archive: Path, name: str) -> list[dict[str, Any]]:
    return Query(archive).table(f"SELECT * FROM {name} ORDER BY ALL").to_pylist()


def detected(archive: Path) -> list[dict[str, Any]]:
    """Findings and incidents without what differs from run to run."""
    rows = [*table(archive, "finding"), *table(archive, "incident")]
    return [{k: v for k, v in r.items() if k != "session"} for r in rows]


def test_the_source_follows_from_the_folder(tmp_path: Path, simulation: Path) -> None:
    """A simulation, an archive, a capture or what holds one; at a speed it is live."""
    archive = tmp_path / "archive"
    Archive.create_or_open(archive).close()
    kinds = {
        simulation: SimulationSource,
        archive: ArchiveSource,
        CAPTURE: CaptureSource,
        CAPTURE / "message_capture": CaptureSource,
    }
    for folder, kind in kinds.items():
        plain, slow = open_source(Replay(folder, tmp_path)), open_source(Replay(folder, tmp_path, 2.0))
        assert type(plain) is kind
        assert type(slow) is (SimulationSource if kind is SimulationSource else Paced)
        assert (plain.live, slow.live) == (False, True)
        plain.close()
        slow.close()


def test_a_folder_that_is_none_of_them(tmp_path: Path) -> None:
    """Missing, empty, or a file: one sentence."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, complaint in (("nothing", "there is no folder"), ("file", "is no folder"), ("empty", "there is no capture in")):
        with pytest.raises(CaptureError, match=complaint):
            open_source(Replay(tmp_path / name, tmp_path / "archive"))


def test_a_capture(tmp_path: Path) -> None:
    """Every message is recorded, under the name given, and the rows are counted."""
    count, _ = replay(Replay(CAPTURE, tmp_path / "a", node="carol"), [])
    expected = json.loads((CAPTURE / "expected.json").read_text())
    messages = table(tmp_path / "a", "message")
    assert len(messages) == expected["messages"]
    assert {r["node"] for r in messages} == {"carol"}
    made_by_sealing = "source <> 'rollup'"
    counts = [f"SELECT count(*) AS n FROM {name} WHERE {made_by_sealing}" for name in all_tables()]
    assert sum(Query(tmp_path / "a").table(" UNION ALL ".join(counts))["n"].to_pylist()) == count


def test_an_archive_gives_the_same_again(tmp_path: Path, simulation: Path) -> None:
    """Replaying what was recorded of a simulation records the same rows, and finds the same as the simulation itself."""
    first, _ = replay(Replay(simulation, tmp_path / "a"), [])
    second, _ = replay(Replay(tmp_path / "a", tmp_path / "b"), [])
    assert first == second
    assert detected(tmp_path / "b") == detected(tmp_path / "a") != []
    for name in all_tables().keys() - MADE_BY_DETECTION:
        assert table(tmp_path / "b", name) == table(tmp_path / "a", name), name


def test_options_reach_the_detectors(tmp_path: Path, simulation: Path) -> None:
    """What is configured counts, so that another threshold can be tried on the same history."""
    found = {}
    for name, limit in (("usual", {}), ("high", {"excess_notice": 1e12, "excess_relay": 1e12})):
        replay(Replay(simulation, tmp_path / name, options={AddrFlood.name: limit}), [])
        found[name] = {r["measured"] for r in table(tmp_path / name, "finding") if r["detector"] == AddrFlood.name}
    assert found["usual"]
    assert found["usual"] != found["high"]


def test_several_sessions_of_a_node(tmp_path: Path) -> None:
    """An archive in which a node was restarted is replayed like any other, each session under its own number."""
    archive = tmp_path / "a"
    with Archive.create_or_open(archive) as opened:
        for nth in range(3):
            plan = Plan("quiet", nth, START + nth * 10 * 10**9, 10 * 10**9, 0.05)
            Watch(opened, Settings(opened.inventory_key, START, {})).run([SimulationSource.simulated(plan, "alice")])
    replay(Replay(archive, tmp_path / "b"), [])
    replay(Replay(archive, tmp_path / "c", 1e6), [])
    assert len({r["session"] for r in table(archive, "message")}) == 3
    for copy in ("b", "c"):
        assert table(tmp_path / copy, "message") == table(archive, "message")


def test_nothing_is_recorded_twice(tmp_path: Path, simulation: Path) -> None:
    """An archive is not replayed into itself, nor anything into an archive that has it; under another name a capture is new."""
    replay(Replay(simulation, tmp_path / "a"), [])
    before = table(tmp_path / "a", "message")
    for source in (simulation, tmp_path / "a"):
        with pytest.raises(ArchiveError, match="has this simulation of node alice already; name another archive"):
            replay(Replay(source, tmp_path / "a"), [])
    assert table(tmp_path / "a", "message") == before
    replay(Replay(CAPTURE, tmp_path / "a", node="bob"), [])
    with pytest.raises(ArchiveError, match="has this capture of node bob already"):
        replay(Replay(CAPTURE, tmp_path / "a", node="bob"), [])
    assert replay(Replay(CAPTURE, tmp_path / "a", node="carol"), []) > (0, 0)


def test_an_archive_that_cannot_be_written(tmp_path: Path, simulation: Path) -> None:
    """A folder with something else in it stays as it is."""
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ArchiveError, match="not an archive and not empty"):
        replay(Replay(simulation, tmp_path), [])
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    assert (simulation / LABELS).exists()


def test_an_older_archive_names_what_cannot_be_seen_in_it(tmp_path: Path) -> None:
    """What a detector reads and the archive never had is said, and withheld from it; of a whole archive nothing is."""
    old = tmp_path / "old"
    replay(Replay(CAPTURE, old), [])
    assert unseen(old) == unseen(CAPTURE) == {}
    meta = json.loads((old / META).read_text())
    meta["tables"]["address"] = [[c for c in meta["tables"]["address"][0] if c != "services"]]
    del meta["tables"]["connection"]
    (old / META).write_text(json.dumps(meta))
    reading = {t.name: {d for d, c in all_detectors().items() if t in c.reads} for t in all_tables().values()}
    found = unseen(old)
    assert {d for d, missing in found.items() if "connection" in missing} == reading["connection"]
    assert {d for d, missing in found.items() if "address.services" in missing} == {
        d for d, c in all_detectors().items() if any(t.name == "address" and "services" in cs for t, cs in c.reads.items())
    }


def test_an_archive_of_level_light(tmp_path: Path) -> None:
    """It has the roll-ups of everything and no row of a message; what reads these sees nothing, and that is said."""
    replay(Replay(CAPTURE, tmp_path / "whole"), [])
    replay(Replay(CAPTURE, tmp_path / "light", level=Level.LIGHT), [])
    whole, light = Query(tmp_path / "whole"), Query(tmp_path / "light")
    sums = "SELECT width, inbound, type, sum(messages)::INT m, sum(bytes)::INT b FROM rate GROUP BY ALL ORDER BY ALL"
    assert light.table(sums).to_pylist() == whole.table(sums).to_pylist() != []
    assert light.table("SELECT * FROM message").num_rows == light.table("SELECT * FROM inventory").num_rows == 0
    assert light.table("SELECT * FROM connection").num_rows == whole.table("SELECT * FROM connection").num_rows > 0
    assert any("address" in missing for missing in unseen(tmp_path / "light").values())


def test_an_archive_of_level_full(tmp_path: Path) -> None:
    """Every payload is there to the byte, and every id of the inventory."""
    replay(Replay(CAPTURE.parent / "feefilter-node1", tmp_path / "full", level=Level.FULL), [])
    query = Query(tmp_path / "full")
    joined = "FROM message m LEFT JOIN payload p USING (seq) WHERE m.kept > 0"
    assert query.table(f"SELECT * {joined} AND octet_length(p.payload) IS DISTINCT FROM m.kept").num_rows == 0
    same = "SELECT count(*) n FROM inventory JOIN inventory_id USING (seq, idx, item)"
    assert query.table(same).to_pylist() == query.table("SELECT count(*) n FROM inventory").to_pylist() != [{"n": 0}]
