"""Simulations on disk: a folder with a play file and the truth about it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:  # who only asks whether a folder is a simulation needs none of it
    from peerwatch.sources.simulation.playfile import PlayWriter
    from peerwatch.sources.simulation.simulation import Plan, Simulation

PLAY = "simulation.play"
LABELS = "labels.json"
FORMAT = 1
"""Of the labels."""

Progress = Callable[[float], None]
"""Is told the share that is done, 0 to 1."""


class FolderError(Exception):
    """A folder that is no simulation, or cannot be read or written; the message says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The truth about a simulation."""

    scenario: str
    seed: int
    node: str
    start: int
    duration: int
    load: float
    options: dict[str, float]
    attacks: list[dict[str, Any]]
    """Each with kind, catalogue (rows of the attack catalogue), first_ts and last_ts (ns UTC), node, peers as {id, address}."""


def labels(simulation: Simulation, node: str) -> Labels:
    """The truth about a simulation as far as it has come."""
    plan = simulation.plan
    attacks = [
        {
            "kind": a.kind,
            "catalogue": list(a.catalogue),
            "first_ts": a.first,
            "last_ts": a.last,
            "node": node,
            "peers": [{"id": peer, "address": address} for peer, address in sorted(a.peers.items())],
        }
        for a in simulation.attacks()
    ]
    options = dict(simulation.scenario.settings)
    return Labels(plan.scenario, plan.seed, node, plan.start, plan.duration, plan.load, options, attacks)


def write_simulation(plan: Plan, folder: Path, node: str = "simulated", progress: Progress = lambda _: None) -> Labels:
    """Simulate into a folder, which is made if need be; the labels come last, so a folder with labels is whole.

    Raises:
        FolderError: the folder has something else in it, or cannot be written.
        ValueError: see Simulation.
    """
    from peerwatch.sources.simulation.playfile import PlayWriter  # noqa: PLC0415 - see the imports above
    from peerwatch.sources.simulation.simulation import Simulation  # noqa: PLC0415 - as before

    simulation = Simulation(plan)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if foreign := sorted(p.name for p in folder.iterdir() if p.name.removesuffix(".part") not in (PLAY, LABELS)):
            raise FolderError(f"{folder} is not empty ({foreign[0]} is in it); choose another folder")
        (folder / LABELS).unlink(missing_ok=True)
        part = folder / f"{PLAY}.part"
        with part.open("wb") as file:
            _play(simulation, PlayWriter(file, plan.start), progress)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / PLAY)
        truth = labels(simulation, node)
        (folder / LABELS).write_text(json.dumps({"format": FORMAT, **asdict(truth)}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise FolderError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    return truth


def stream_play(simulation: Simulation) -> Iterator[bytes]:
    """A simulation as the bytes of a play file, a window at a time, for the player's standard input."""
    from peerwatch.sources.simulation.playfile import PlayWriter  # noqa: PLC0415 - see the imports above

    buffer = BytesIO()
    writer = PlayWriter(buffer, simulation.plan.start)
    for window in simulation:
        writer.write(window.events, window.names)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def read_labels(folder: Path) -> Labels:
    """The truth about the simulation in a folder.

    Raises:
        FolderError: there is none.
    """
    try:
        raw = json.loads((folder / LABELS).read_text(encoding="utf-8"))
        if raw.pop("format") != FORMAT:
            raise FolderError(f"{folder / LABELS} is of another version of peerwatch; simulate again")
        return msgspec.convert(raw, Labels)
    except FileNotFoundError as error:
        raise FolderError(f"{folder} is not a simulation: {LABELS} is missing") from error
    except OSError as error:
        raise FolderError(f"{folder / LABELS} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise FolderError(f"{folder / LABELS} is not what a simulation writes") from error


def is_simulation(folder: Path) -> bool:
    """Whether a folder looks like a simulation."""
    return (folder / PLAY).is_file() and (folder / LABELS).is_file()


def _play(simulation: Simulation, writer: PlayWriter, progress: Progress) -> None:
    plan = simulation.plan
    for window in simulation:
        writer.write(window.events, window.names)
        progress((window.end - plan.start) / plan.duration)
