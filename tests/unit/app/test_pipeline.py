"""One node's way from chunks to rows, findings and incidents. That batches do not matter is tried in tests/contract."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.app.pipeline import Pipeline, Settings
from peerwatch.detect.registry import all_detectors
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.incident import Incident
from peerwatch.sources._api import Chunk
from peerwatch.sources.simulation.simulation import Plan
from peerwatch.sources.simulation.source import SimulationSource
from peerwatch.wire.raw import RawMessages
from tests.chunks import chunks_of
from tests.unit.sources.test_pace import ALICE, chunk

START = 1_760_054_400 * SECOND
SETTINGS = Settings(bytes(40), START, {})
PLAN = Plan("addr-flood-2021", 3, START, 40 * SECOND, 0.2, {"start_s": 2, "duration_s": 20, "rate": 4, "peers": 2})


def flood() -> list[Chunk]:
    """A short attack."""
    return chunks_of(SimulationSource.simulated(PLAN, "alice"))


def test_all_detectors_run_with_their_options() -> None:
    """Every one that is registered is set up for the node, those that are configured with what is configured."""
    name, detector = next(iter(all_detectors().items()))
    option = next(iter(detector.options))
    pipeline = Pipeline("alice", Settings(bytes(40), 1, {name: {option: 123.0}}))
    assert pipeline.runner.running.keys() == all_detectors().keys()
    assert pipeline.runner.running[name].detector.settings[option] == 123.0
    assert pipeline.runner.running[name].detector.node == "alice"
    with pytest.raises(ValueError, match="has no option nonsense"):
        Pipeline("alice", Settings(bytes(40), 1, {name: {"nonsense": 1.0}}))


def test_messages_become_rows_beside_those_of_the_source() -> None:
    """Rows of messages, their roll-up and finished rows come out together; without messages there is no roll-up."""
    pipeline = Pipeline("alice", SETTINGS)
    outcome = pipeline.feed(chunk([START, START + 1, START + 2], messages=[0, 2]))
    assert {name: batch.num_rows for name, batch in outcome.rows.items()} == {"ping": 2, "message": 2, "rate": 1}
    assert outcome.detected == {}
    quiet = pipeline.feed(chunk([START + 3], messages=[]))
    assert list(quiet.rows) == ["ping"]


def test_what_an_ended_or_replaced_session_held_back_is_left() -> None:
    """Its last second is given with its last chunk, or with the first of its successor; once, and not at the end again."""
    wrong = [START, START + 1]  # messages of one byte
    ended, replaced = Pipeline("alice", SETTINGS), Pipeline("alice", SETTINGS)
    ((identity, rows),) = ended.feed(chunk(wrong, ended=True)).left
    assert (identity, sum(rows["weird"].column("count").to_pylist())) == (ALICE, 2)
    assert ended.finish().left == []
    assert replaced.feed(chunk(wrong)).left == []
    successor = Identity("alice", ALICE.session + 1, ALICE.source)
    assert replaced.feed(chunk([START + 2], successor)).left == [(ALICE, rows)]
    assert [i for i, _ in replaced.finish().left] == [successor]


def test_an_empty_chunk_moves_time_on() -> None:
    """A later watermark alone ends seconds."""
    pipeline = Pipeline("alice", SETTINGS)
    pipeline.feed(chunk([START]))
    none = np.zeros(0, np.int64)
    outcome = pipeline.feed(Chunk(ALICE, START + 90 * SECOND, RawMessages.none(), none, none))
    assert (outcome.rows, pipeline.runner.second) == ({}, START // SECOND + 90)


def test_an_attack_is_found_and_told() -> None:
    """Findings and incidents of a flood come out as rows of detection, under its own identity, numbered without gaps."""
    pipeline = Pipeline("alice", SETTINGS)
    outcomes = [pipeline.feed(c) for c in flood()]
    outcomes.append(pipeline.finish())
    rows = {
        name: [r for o in outcomes if name in o.detected for r in o.detected[name].to_pylist()]
        for name in ("finding", "incident")
    }
    for found in rows.values():
        assert [r["seq"] for r in found] == list(range(len(found)))
        assert {(r["node"], r["session"], r["source"]) for r in found} == {("alice", START, "detect")}
    assert "addr_flood" in {r["kind"] for r in rows["incident"]}
    assert rows["incident"][0]["state"] == "open"
    assert len(rows["finding"]) >= len(rows["incident"])


def test_open_incidents_go_on() -> None:
    """One that was open when recording stopped is the same incident afterwards, and is resolved when it is over."""
    first = Pipeline("alice", SETTINGS)
    told = [r for c in flood() for r in first.feed(c).detected.get("incident", Incident.empty()).to_pylist()]
    newest = {r["incident"]: r for r in told if r["kind"] == "addr_flood"}
    second = Pipeline("alice", Settings(bytes(40), START + 1, {}), newest.values())
    last = max(r["ts"] for r in told)
    none = np.zeros(0, np.int64)
    second.feed(chunk([last + SECOND]))
    outcome = second.feed(Chunk(ALICE, last + 600 * SECOND, RawMessages.none(), none, none))
    resolved = {r["incident"]: r["state"] for r in outcome.detected["incident"].to_pylist() if r["kind"] == "addr_flood"}
    assert resolved == dict.fromkeys(newest, "resolved")
