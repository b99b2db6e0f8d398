"""Incidents as lines."""

from __future__ import annotations

import io

import pytest

from peerwatch.schema.table import Identity
from peerwatch.schema.tables.incident import Incident
from peerwatch.sinks._api import SinkUnavailableError
from peerwatch.sinks.terminal import WIDTH, Terminal
from tests.builders import at


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def row(state: str, severity: str = "page", seconds: float = 5, **more: object) -> dict[str, object]:
    """One state of an incident."""
    return {
        "ts": at(seconds), "seq": 0, "incident": "abc", "identifier": "flood:alice", "kind": "addr_flood", "severity": severity,
        "state": state, "first_ts": at(0), "last_ts": at(90), "subject_kind": "node", "subject": "alice",
        "peers": '[{"id": 1, "address": null}, {"id": 2, "address": null}]', "findings": 12, "score": 3.0, "completeness": 1.0,
        "explanation": "A peer floods this node. " * 8, "query": "SELECT 1",
    } | more  # fmt: skip


def shown(*rows: dict[str, object], stream: io.StringIO | None = None) -> str:
    """What is written for these rows."""
    stream = stream or io.StringIO()
    batch = Incident.build(Identity("alice", 1, "detect"), {name: [r[name] for r in rows] for name in rows[0]})
    Terminal(stream).write(batch)
    return stream.getvalue()


def test_life_of_an_incident_in_lines():
    """Open with its explanation, a line an update, one line when it is over; no control byte without a terminal."""
    lines = shown(row("open"), row("updated"), row("resolved", seconds=150)).splitlines()
    assert lines[0] == "10:40:05 OPEN     page addr_flood on alice, incident abc"
    assert all(line.startswith("    ") and len(line) <= WIDTH for line in lines[1:-2])
    assert " ".join(line.strip() for line in lines[1:-2]) == ("A peer floods this node. " * 8).strip()
    assert lines[-2] == "10:40:05 UPDATED  page addr_flood on alice, incident abc: 2 peers, 12 findings"
    assert lines[-1] == "10:42:30 RESOLVED page addr_flood on alice, incident abc: over after 90 s, 12 findings"


def test_explains_again_when_it_gets_worse():
    """A higher severity comes with its explanation."""
    text = shown(row("open", "notice"), row("updated", "page"), row("updated", "page"))
    assert " ".join(text.split()).count("A peer floods") == 2 * 8


def test_colours_only_on_a_terminal():
    """Colours are for eyes."""
    assert "\x1b" not in shown(row("open"))
    assert shown(row("open"), stream=Screen()).startswith("\x1b[1;31m10:40:05")


def test_hostile_text_is_escaped():
    """Control bytes in any text reach neither terminal nor log."""
    text = shown(row("open", explanation="ping\x1b]0;owned\x07 \u202egnip", kind="a\x1b[2Jb"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert r"\x1b]0;owned\x07" in text


def test_closed_stream_is_unavailable():
    """Who reads may be gone; that is for the runner to know."""
    stream = io.StringIO()
    stream.close()
    with pytest.raises(SinkUnavailableError):
        shown(row("open"), stream=stream)


def test_close_leaves_the_stream_open():
    """The stream belongs to who gave it, and closing twice is fine."""
    stream = io.StringIO()
    sink = Terminal(stream)
    sink.close()
    sink.close()
    assert not stream.closed
