"""`peerwatch alerts`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from peerwatch.app.recorder import Recorder
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.incident import Incident
from peerwatch.store.archive import Archive
from tests.unit.cli.conftest import Command

FIELDS = {"kind", "severity", "state", "first_ts", "last_ts", "node", "subject", "peers", "explanation"}
"""Names that scripts rely on."""


def lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_json_has_what_scripts_rely_on(peerwatch: Command, attacked: Path) -> None:
    """One incident a line, in its newest state, with its peers and their addresses."""
    result = peerwatch("alerts", "--archive", attacked, "--json")
    assert result.status == 0
    (flood,) = [row for row in lines(result.out) if row["kind"] == "addr_flood"]
    assert flood.keys() >= FIELDS
    assert (flood["node"], flood["state"], flood["severity"]) == ("alice", "resolved", "page")
    assert len(flood["peers"]) == 2
    for peer in flood["peers"]:
        assert peer.keys() == {"id", "address"}
        assert isinstance(peer["id"], int)
        assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+:\d+", peer["address"])
    assert isinstance(flood["first_ts"], int)
    assert flood["first_ts"] < flood["last_ts"]


def test_text_explains(peerwatch: Command, attacked: Path) -> None:
    """When, what, who and where to look, in words."""
    shown = peerwatch("alerts", "--archive", attacked).out
    assert re.search(
        r"^2025-10-10 00:00:\d\d to 2025-10-10 00:00:\d\d UTC  page  resolved  addr_flood  node alice, incident [0-9a-f]{16}$",
        shown,
        re.MULTILINE,
    )
    assert "What to do:" in shown
    assert "  rows: SELECT * FROM address WHERE" in shown


def test_only_open_ones(peerwatch: Command, attacked: Path, empty: Path) -> None:
    """What is over can be left out; that there is none is said, and in JSON it is nothing."""
    assert peerwatch("alerts", "--archive", attacked, "--open").out == "no open incident\n"
    assert peerwatch("alerts", "--archive", attacked, "--open", "--json").out == ""
    assert peerwatch("alerts", "--archive", empty).out == "no incident\n"
    assert peerwatch("alerts", "--archive", empty, "--json").out == ""


def test_nothing_reaches_the_terminal_unescaped(peerwatch: Command, tmp_path: Path) -> None:
    """An archive that somebody else made may hold anything in its texts."""
    row = dict.fromkeys(Incident.columns.keys() - {"node", "session", "source"}, "evil \x1b[31m\u202e")
    row |= dict.fromkeys(("ts", "seq", "first_ts", "last_ts", "findings", "score", "completeness"), 1)
    row |= {"state": "open", "peers": json.dumps([{"id": 1, "address": "\x1b[2J"}])}
    who = Identity("alice", 1, "detect")
    with Archive.create_or_open(tmp_path / "a") as archive:
        recorder = Recorder(archive)
        recorder.add(who, {"incident": Incident.build(who, {name: [value] for name, value in row.items()})})
        recorder.close()
    for arguments in ([], ["--json"]):
        shown = peerwatch("alerts", "--archive", tmp_path / "a", *arguments).out
        assert "evil" in shown
        assert shown.isascii()
        assert all(c.isprintable() or c == "\n" for c in shown)
