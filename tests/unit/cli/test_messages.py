"""`peerwatch messages`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from peerwatch.app.replay import Replay, replay
from peerwatch.store.archive import Archive
from tests.unit.app.recorded_messages import WHO, connections, inventory, record, tables, version, whole
from tests.unit.cli.conftest import Command

CAPTURES = Path(__file__).parents[2] / "data/captures"
COMMAND = [sys.executable, "-m", "peerwatch", "messages", "--archive"]
KEYS = ["node", "session", "source", "seq", "ts", "time", "peer", "address", "inbound", "type", "size", "kept", "error", "fields"]
"""Names that scripts rely on."""

SENT = [
    whole("version", version(b"/Satoshi:29.0.0/")),
    whole("ping", bytes(8)),
    whole("inv", inventory([1] * 35)),
    whole("pong", b"\1"),
]
EVIL = bytes(range(256))
HOSTILE = [
    whole("version", version(EVIL)),
    whole("version", version(b"\x1b[31m[red]\xff\xfe", claimed=10_000_000)),
    ("version", version(b"\x1b]0;title\x07" * 30, claimed=10_000_000)[:300], 32 << 20),
    whole("\x1b[2J\x07\x00", b"\x1b[2J"),
    whole("[bold red]", b"[bold red]"),
    whole("\u202egnp", bytes(8)),
    whole("reject", b"\x0c\x1b[31mtx\x9b\xff\x00\r\n" + b"\x01" + bytes([len(EVIL[:111])]) + EVIL[:111]),
    whole("inv", b"\xff" * 9 + inventory([1])),
]


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few messages."""
    return record(tmp_path_factory.mktemp("messages") / "archive", SENT)


def test_text(peerwatch: Command, archive: Path) -> None:
    """A line each, oldest first; what is wrong is said."""
    result = peerwatch("messages", "--archive", archive)
    assert result.status == 0
    assert result.out.splitlines() == [
        f"2026-11-02 10:00:00.{line}"
        for line in (
            "000  ← 0 203.0.113.7:8333    version          102 B  70016 /Satoshi:29.0.0/ height 900000 services 0x409",
            "001  → 1 [2001:db8::1]:8333  ping               8 B  nonce 0000000000000000",
            "002  ← 2                     inv             1261 B  35 tx",
            "003  → 0 203.0.113.7:8333    pong               1 B    error: truncated",
        )
    ]


def test_json_has_what_scripts_rely_on(peerwatch: Command, archive: Path) -> None:
    """One message a line, with all of its rows."""
    found = lines(peerwatch("messages", "--archive", archive, "--json").out)
    assert [list(row) for row in found] == [KEYS] * 4
    assert [row["seq"] for row in found] == [0, 1, 2, 3]
    assert found[0]["fields"]["version"][0]["user_agent"] == "/Satoshi:29.0.0/"
    assert len(found[2]["fields"]["inventory"]) == 35
    assert (found[3]["error"], found[3]["fields"]) == ("truncated", {})


def test_rows_of_messages(peerwatch: Command, archive: Path) -> None:
    """With --verbose the first ten of each, and how many more."""
    shown = peerwatch("messages", "--archive", archive, "--type", "inv", "-v").out.splitlines()
    assert len(shown) == 12
    assert re.fullmatch(r"    inventory: idx 0  message inv  kind 1  item [0-9a-f]{16}", shown[1])
    assert shown[-1] == "    inventory: ... and 25 more"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--last", "2"], [2, 3]),
        (["--last", "all"], [0, 1, 2, 3]),
        (["--type", "ping,pong", "--type", "inv"], [1, 2, 3]),
        (["--peer", "0"], [0, 3]),
        (["--peer", "203.0.113.7", "--peer", "1"], [0, 1, 3]),
        (["--peer", "2001:db8::1,2"], [1, 2]),
        (["--in"], [0, 2]),
        (["--out", "--type", "ping"], [1]),
        (["--error"], [3]),
        (["--error", "--in"], []),
        (["--error", "trailing"], []),
        (["--error", "trailing,truncated"], [3]),
        (["--node", "alice", "--until", "2026-11-02T10:00:00.001"], [0]),
        (["--since", "2026-11-02T10:00:00.002Z"], [2, 3]),
        (["--node", "bob"], []),
    ],
    ids=lambda v: " ".join(v) if v and isinstance(v[0], str) else "",
)
def test_filters(peerwatch: Command, archive: Path, options: list[str], expected: list[int]) -> None:
    """Each option alone and together with others."""
    result = peerwatch("messages", "--archive", archive, "--json", *options)
    assert (result.status, [row["seq"] for row in lines(result.out)]) == (0, expected)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--peer", "a'b"], "is neither the id of a peer nor an address"),
        (["--type", ""], "cannot be a message type"),
        (["--error", "none"], "'none' is no error; there are truncated,"),
        (["--since", "yesterday"], "'yesterday' is no time; use one in UTC"),
        (["--last", "-5"], "is neither a number up to 100000 nor all"),
        (["--last", "100001"], "is neither a number up to 100000 nor all"),
        (["--follow", "--until", "1h"], "--follow goes on and on, --until ends"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_wrong_usage(peerwatch: Command, archive: Path, options: list[str], complaint: str) -> None:
    """Is status 2 and says what is right."""
    result = peerwatch("messages", "--archive", archive, *options)
    assert result.status == 2
    assert complaint in " ".join(result.err.split())


def test_no_messages(peerwatch: Command, archive: Path, empty: Path) -> None:
    """Says why and what to do; in JSON it is nothing."""
    shown = peerwatch("messages", "--archive", empty)
    assert (shown.status, shown.out.count("\n")) == (0, 1)
    assert "no message is recorded in" in shown.out
    assert "`peerwatch run`" in shown.out
    there = "no message fits; there are messages from 2026-11-02 10:00:00.000 to 2026-11-02 10:00:00.003 UTC"
    assert peerwatch("messages", "--archive", archive, "--type", "pign").out == f"{there}; did you mean ping with pign?\n"
    assert peerwatch("messages", "--archive", archive, "--node", "bob").out == f"{there}, of alice\n"
    assert peerwatch("messages", "--archive", empty, "--json").out == ""


def test_no_archive(peerwatch: Command, tmp_path: Path) -> None:
    """Is one line and status 1, following or not."""
    for options in ([], ["--follow"]):
        result = peerwatch("messages", "--archive", tmp_path, *options)
        assert (result.status, result.out, result.err.count("\n")) == (1, "", 1)
        assert "is not an archive" in result.err


def test_hostile_messages(peerwatch: Command, tmp_path: Path) -> None:
    """Whatever peers send as names, types and reasons: no control byte but newlines reaches the output, and JSON is valid."""
    hostile = record(tmp_path / "archive", HOSTILE)
    for options in ([], ["-v"], ["--json"]):
        result = peerwatch("messages", "--archive", hostile, *options)
        assert result.status == 0
        assert set(result.out) <= {*map(chr, range(32, 127)), "\n", "←", "→"}
        assert "[bold red]" in result.out
    found = lines(result.out)
    assert [row["error"] for row in found] == [None, "over_limit", "oversized", None, None, None, None, "over_limit"]
    assert found[0]["fields"]["version"][0]["user_agent"].startswith(r"\x00\x01")
    assert [row["type"] for row in found[3:6]] == [r"\x1b[2J\x07\x00", "[bold red]", r"\xe2\x80\xaegnp"]
    text = peerwatch("messages", "--archive", hostile).out.splitlines()
    assert max(map(len, text)) < 400
    assert text[6].split("reject")[1].split("B  ")[1].startswith(r"\x1b[31mtx\x9b\xff\x00\x0d\x0a 1 \x00\x01")


@pytest.mark.parametrize("capture", sorted(p.parent for p in CAPTURES.glob("*/expected.json")), ids=lambda p: p.name)
def test_captures(peerwatch: Command, tmp_path: Path, capture: Path) -> None:
    """Every message of real traffic is shown once, in order, and says something where its type says anything."""
    replay(Replay(capture, tmp_path / "archive"), [])
    shown = peerwatch("messages", "--archive", tmp_path / "archive", "--last", "all").out.splitlines()
    found = lines(peerwatch("messages", "--archive", tmp_path / "archive", "--last", "all", "--json").out)
    assert len(shown) == len(found)
    assert [row["ts"] for row in found] == sorted(row["ts"] for row in found)
    expected = json.loads((capture / "expected.json").read_text())["counts"]
    counted = Counter(f"{'in' if row['inbound'] else 'out'} {row['type']}" for row in found)
    assert counted == {what: messages for what, (messages, _) in expected.items()}
    for row, line in zip(found, shown, strict=True):
        said = line.split(f"{row['size']} B", 1)[1]
        assert bool(said.strip()) == bool(row["fields"] or row["error"])
        assert row["type"] in line


def test_a_simulation(peerwatch: Command, attacked: Path) -> None:
    """The attack can be seen: who sends addresses, and how many."""
    shown = peerwatch("messages", "--archive", attacked, "--type", "addr", "--in", "--last", "20").out.splitlines()
    assert len(shown) == 20
    assert all(re.search(r"← \d+ [0-9.:]+ +addr +\d+ B  \d+ \(ipv4 \d+", line) for line in shown)


def follow(archive: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, archive, "--follow", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_following(tmp_path: Path) -> None:
    """History, then each message as it is recorded, until Ctrl-C, which is the normal end."""
    path = tmp_path / "archive"
    with Archive.create_or_open(path) as archive:
        writer = archive.writer(WHO)
        writer.append(tables(SENT, archive.inventory_key) | {"connection": connections()}, {})
        process = follow(path, "--json", "--last", "1")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["seq"] == 3
        for first in (4, 8):
            writer.append(tables(SENT, archive.inventory_key, first), {})
            assert [json.loads(process.stdout.readline())["seq"] for _ in SENT] == list(range(first, first + 4))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_nobody_reads_any_more(archive: Path) -> None:
    """Following ends by itself and quietly when its output is closed, though nothing more is recorded."""
    process = follow(archive)
    assert process.stdout is not None
    assert "version" in process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) in (0, 1)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_colours_on_a_terminal(archive: Path) -> None:
    """Only there; errors are red."""
    master, slave = os.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "60"}
    environment.pop("NO_COLOR", None)
    subprocess.run([*COMMAND, archive, "--error"], stdout=slave, env=environment, check=True)
    os.close(slave)
    shown = os.read(master, 10_000).decode()
    os.close(master)
    assert "\x1b[1;31m  error: truncated\x1b[0m" in shown
    assert shown.count("\n") == 1


def test_an_archive_that_keeps_no_messages(peerwatch: Command, tmp_path: Path) -> None:
    """At level light there is nothing to show, and that is the reason given."""
    config = tmp_path / "light.toml"
    config.write_text('record = "light"')
    capture = Path(__file__).parents[2] / "data/captures/ping-node0"
    assert peerwatch("replay", capture, "--archive", tmp_path / "a", "--config", config, "--quiet").status == 0
    assert "recorded at level light" in peerwatch("messages", "--archive", tmp_path / "a").out
