"""Simulations on disk."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from peerwatch.sources.simulation.folder import (
    LABELS,
    PLAY,
    FolderError,
    Labels,
    is_simulation,
    read_labels,
    stream_play,
    write_simulation,
)
from peerwatch.sources.simulation.simulation import Simulation
from tests.unit.sources.simulation.seen import plan

FLOOD = plan("addr-flood-2021", 130, options={"start_s": 20, "duration_s": 60, "peers": 3})


def test_a_folder_has_events_and_truth(tmp_path: Path) -> None:
    """A play file as it would be streamed, labels that read back as they were returned, and progress up to the end."""
    told: list[float] = []
    truth = write_simulation(FLOOD, tmp_path / "new" / "flood", "alice", told.append)
    folder = tmp_path / "new" / "flood"

    assert sorted(p.name for p in folder.iterdir()) == [LABELS, PLAY]
    assert (folder / PLAY).read_bytes() == b"".join(stream_play(Simulation(FLOOD)))
    assert read_labels(folder) == truth
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert is_simulation(folder)
    assert not is_simulation(tmp_path)


def test_labels_are_plain_json(tmp_path: Path) -> None:
    """What others read: scenario, seed and attacks with kind, catalogue rows, times, node and peers."""
    write_simulation(FLOOD, tmp_path, "alice")
    raw = json.loads((tmp_path / LABELS).read_text())
    (attack,) = raw["attacks"]

    assert (raw["scenario"], raw["seed"], raw["node"]) == ("addr-flood-2021", 1, "alice")
    assert (attack["kind"], attack["catalogue"], attack["node"]) == ("addr_flood", ["A01", "A02", "A04", "A05"], "alice")
    assert raw["start"] + 20 * 10**9 < attack["first_ts"] < attack["last_ts"] < raw["start"] + 100 * 10**9
    assert len(attack["peers"]) == 3
    assert set(attack["peers"][0]) == {"id", "address"}


def test_it_can_be_written_again(tmp_path: Path) -> None:
    """A simulation replaces one that was there; what else is in a folder is not touched."""
    write_simulation(plan(seconds=5), tmp_path)
    write_simulation(plan(seconds=10), tmp_path)
    assert read_labels(tmp_path).duration == 10 * 10**9

    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FolderError, match=r"is not empty \(letter.txt is in it\); choose another folder"):
        write_simulation(plan(seconds=5), tmp_path)
    assert (tmp_path / "letter.txt").exists()


def test_folders_that_are_none(tmp_path: Path) -> None:
    """Each is one sentence that says what is wrong."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="cannot be written"):
        write_simulation(plan(seconds=5), tmp_path / "file")
    with pytest.raises(FolderError, match=r"is not a simulation: labels.json is missing"):
        read_labels(tmp_path)
    with pytest.raises(FolderError, match="cannot be read"):
        read_labels(tmp_path / "file")
    later = json.dumps({"format": 1, **asdict(Labels("quiet", 1, "alice", 0, 1, 1.0, {}, [])), "start": "now"})
    for text, why in (
        ("{", "not what a simulation writes"),
        ("[]", "not what"),
        ('{"format": 9}', "another version"),
        ('{"format": 1, "seed": 2}', "not what"),
        (later, "not what"),
    ):
        (tmp_path / LABELS).write_text(text)
        with pytest.raises(FolderError, match=why):
            read_labels(tmp_path)


def test_an_interrupted_simulation_is_not_taken_for_one(tmp_path: Path) -> None:
    """Labels come last, and old ones go first: a folder that was left half-way is no simulation, and can be written again."""
    write_simulation(plan(seconds=5), tmp_path)

    def interrupt(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_simulation(plan(seconds=5), tmp_path, progress=interrupt)
    assert not is_simulation(tmp_path)
    write_simulation(plan(seconds=5), tmp_path)
    assert is_simulation(tmp_path)
