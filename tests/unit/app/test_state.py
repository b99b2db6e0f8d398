"""What outlives a watcher: snapshots of detectors, and incidents that were open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from peerwatch.app.pipeline import Pipeline
from peerwatch.app.recorder import Recorder
from peerwatch.app.state import AHEAD_S, BEHIND_S, EVERY_NS, FOLDER, SHARE, Snapshots, open_incidents
from peerwatch.detect.detectors.addr_flood import AddrFlood
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.incident import Incident
from peerwatch.store.archive import Archive
from tests.unit.app.test_pipeline import PLAN, SETTINGS, START, flood


class Clock:
    """Stands still; each look costs as much as the test says."""

    now = 10**12
    cost = 0

    def __call__(self) -> int:
        """Now, ns."""
        self.now += self.cost
        return self.now


def snapshots(folder: Path, clock: Clock | None = None, after_s: float = 0) -> Snapshots:
    """Snapshots in a folder, so many seconds after the attack that is simulated here."""
    now = PLAN.start + PLAN.duration + round(after_s * SECOND)
    return Snapshots(folder, clock or Clock(), lambda: now)


def test_detection_goes_on(tmp_path: Path) -> None:
    """A pipeline with the snapshot of another one has its state, to the last detail, and finds the same from there on."""
    chunks = flood()
    first = Pipeline("alice", SETTINGS)
    for c in chunks[: len(chunks) // 2]:
        first.feed(c)
    snapshots(tmp_path).save([first])
    second = Pipeline("alice", SETTINGS)
    assert snapshots(tmp_path).load(second)
    assert second.snapshot() == first.snapshot()
    for c in chunks[len(chunks) // 2 :]:
        ours, theirs = first.feed(c).detected.get("finding"), second.feed(c).detected.get("finding")
        assert (ours and ours.to_pylist()) == (theirs and theirs.to_pylist())


def test_each_node_has_its_own(tmp_path: Path) -> None:
    """A file a node, whatever dots its name has."""
    pipelines = [Pipeline(name, SETTINGS) for name in ("alice", "bob", "bob.json", "bob.new")]
    snapshots(tmp_path).save(pipelines)
    assert sorted(p.name for p in (tmp_path / FOLDER).iterdir()) == ["alice.json", "bob.json", "bob.json.json", "bob.new.json"]
    assert not snapshots(tmp_path).load(Pipeline("carol", SETTINGS))


def damage(text: str) -> list[str]:
    """A snapshot that is damaged in ways that get further and further."""
    whole = json.loads(text)
    name = AddrFlood.name
    inside: list[dict[str, Any]] = [
        {"second": "x", "sight": 3},
        {"detectors": {name: {"failures": 0, "state": {}}}},
        {"detectors": {name: {"failures": 0, "state": [1, 2]}}},
        {"detectors": {name: None}},
        {"peers": {"nonsense": 1}},
    ]
    broken: list[Any] = [
        {},
        [],
        None,
        "text",
        {"runner": whole["runner"]},
        whole | {"connections": {"sources": [{"source": "usdt", "session": 1}]}},
        *(whole | {"runner": whole["runner"] | change} for change in inside),
    ]
    return ["", "{", "\0", text[: len(text) // 2], "[" * 100_000, *map(json.dumps, broken)]


def test_a_snapshot_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Damaged anywhere, it is said to be none, and nothing is raised; the caller starts afresh."""
    pipeline = Pipeline("alice", SETTINGS)
    for c in flood()[:2]:
        pipeline.feed(c)
    snapshots(tmp_path).save([pipeline])
    path = tmp_path / FOLDER / "alice.json"
    good = path.read_text()
    for text in damage(good):
        path.write_text(text)
        assert not snapshots(tmp_path).load(Pipeline("alice", SETTINGS)), text[:200]
    path.write_bytes(b"\xff\xfe")
    assert not snapshots(tmp_path).load(Pipeline("alice", SETTINGS))
    path.write_text(good)
    assert snapshots(tmp_path).load(Pipeline("alice", SETTINGS))


def test_a_snapshot_of_another_time_is_refused(tmp_path: Path) -> None:
    """One of a long time ago knows nothing any more, and one from the future would have detection wait for it."""
    pipeline = Pipeline("alice", SETTINGS)
    for c in flood():
        pipeline.feed(c)
    snapshots(tmp_path).save([pipeline])
    fits = {after: snapshots(tmp_path, None, after).load(Pipeline("alice", SETTINGS)) for after in (0, BEHIND_S, -AHEAD_S)}
    assert fits == dict.fromkeys(fits, True)
    for after in (BEHIND_S + 2, -AHEAD_S - 2):
        assert not snapshots(tmp_path, None, after).load(Pipeline("alice", SETTINGS))


def test_snapshots_cost_little(tmp_path: Path) -> None:
    """One a second at most, and less often when they take long: a hundredth of the time; at the end one is written anyway."""
    clock = Clock()
    state = snapshots(tmp_path, clock)
    pipeline = Pipeline("alice", SETTINGS)
    path = tmp_path / FOLDER / "alice.json"

    def written() -> bool:
        path.unlink(missing_ok=True)
        state.save([pipeline])
        return path.exists()

    assert written()
    clock.now += EVERY_NS - 1
    assert not written()
    clock.now += 1
    clock.cost = SECOND  # each look at the clock is a second later, so that writing seems to take as long
    assert written()
    clock.cost = 0
    clock.now += (SHARE - 1) * SECOND
    assert not written()
    path.unlink(missing_ok=True)
    state.save([pipeline], now=True)
    assert path.exists()


def test_a_folder_that_cannot_be_written_costs_the_snapshot_only(tmp_path: Path) -> None:
    """What was there before stays whole."""
    (tmp_path / FOLDER).write_text("in the way")
    snapshots(tmp_path).save([Pipeline("alice", SETTINGS)])
    assert (tmp_path / FOLDER).read_text() == "in the way"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive.create_or_open(tmp_path / "archive")
    made.close()
    return made


def incident(name: str, state: str, seq: int, findings: int = 1, node: str = "alice") -> dict[str, Any]:
    """A row of an incident, after so many findings."""
    row = dict.fromkeys(Incident.columns.keys() - {"node", "session", "source"}, "x")
    numbers = dict.fromkeys(("first_ts", "last_ts", "score", "completeness"), 1) | {"findings": findings}
    row |= numbers | {"ts": START + findings * SECOND, "seq": seq, "incident": name, "state": state, "peers": "[]"}
    return row | {"subject": node}


def record(archive: Archive, who: Identity, *rows: dict[str, Any]) -> None:
    with Archive(archive.path) as opened:
        recorder = Recorder(opened)
        batch = Incident.build(who, {name: [r[name] for r in rows] for name in rows[0]})
        recorder.add(who, {"incident": batch})
        recorder.close()


@pytest.mark.parametrize("sessions", [(100, 200), (200, 100)])
def test_open_incidents_are_those_whose_newest_row_says_so(archive: Archive, sessions: tuple[int, int]) -> None:
    """Of the node that is asked for only, the newest row of each, over runs, also when the clock was set back between; resolved
    ones are left out, reopened ones are in.
    """
    assert open_incidents(archive.path, "alice") == []
    early, late = (Identity("alice", session, "detect") for session in sessions)
    record(archive, early, *(incident(n, "open", i) for i, n in enumerate(["goes on", "ends", "ends later", "comes back"])))
    record(archive, early, incident("ends", "resolved", 4), incident("comes back", "resolved", 5, 2))
    now = [("ends later", "resolved", 1), ("comes back", "open", 3), ("goes on", "updated", 2)]
    record(archive, late, *(incident(name, state, seq, findings) for seq, (name, state, findings) in enumerate(now)))
    record(archive, Identity("bob", 300, "detect"), incident("of another", "open", 0, node="bob"))
    found = open_incidents(archive.path, "alice")
    assert {(r["incident"], r["state"], r["session"]) for r in found} == {
        ("goes on", "updated", late.session),
        ("comes back", "open", late.session),
    }
    assert [r["ts"] for r in found] == sorted(r["ts"] for r in found)
