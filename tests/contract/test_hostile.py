"""Hostile bytes through the whole: a capture full of them is replayed, flagged, asked for and shown."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerwatch.store.query import Query
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH
from peerwatch.wire.raw import KNOWN_TYPES
from tests.reference.reader import compact_size

PEERWATCH = Path(sys.executable).with_name("peerwatch")
START_US = 1_760_054_400_000_000
EVIL = b"\x1b]0;owned\x07\x1b[31m\r\n\x00\x08" + b"\xff\xfe\xc3\x28\xe2\x80\xae[red]{{7*7}}<script>"
"""Terminal control, invalid UTF-8, a right-to-left override, and what a template or a browser might take for its own."""
HUGE = compact_size(2**64 - 1)
MILLION = compact_size(10**6)
ALLOWED_MB = 24
"""What hostile bytes may take beyond what as many harmless ones do."""

VERSION = struct.pack("<iQq", 70016, 9, 1_760_054_400) + bytes(26) + bytes(26) + bytes(8)
TX = struct.pack("<i", 2)


def hostile() -> Iterator[tuple[bytes, bytes]]:
    """Types and payloads: impossible counts at every depth, and texts that are anything but text."""
    for name in KNOWN_TYPES:
        kind = name.encode()
        for head in (b"", bytes(4), bytes(32), bytes(33), bytes(80), bytes(88)):
            for count in (HUGE, MILLION, compact_size(2**32), b"\xff", b"\xfd\1\0"):
                yield kind, head + count
                yield kind, head + count + EVIL * 3
    for count in (HUGE, MILLION):
        inputs = TX + b"\1" + bytes(36) + count
        stacks = TX + b"\0\1\1" + bytes(36) + b"\0" + bytes(4) + b"\1" + bytes(8) + b"\0"
        for body in (
            TX + count,
            inputs,
            TX + b"\1" + bytes(36) + b"\0" + bytes(4) + count,
            stacks + count,
            stacks + b"\1" + count,
        ):
            yield b"tx", body
            yield b"block", bytes(80) + b"\2" + body
            yield b"blocktxn", bytes(32) + b"\2" + body
            yield b"cmpctblock", bytes(88) + b"\0\1\0" + body
    yield b"version", VERSION + compact_size(10_000_000) + EVIL * 20_000
    yield b"version", VERSION + compact_size(len(EVIL) * 3) + EVIL * 3 + struct.pack("<i?", 1, True)
    yield b"reject", compact_size(12) + EVIL[:12] + b"\x10" + compact_size(len(EVIL)) + EVIL
    yield b"alert", compact_size(len(EVIL) * 9) + EVIL * 9 + compact_size(3) + b"abc"
    for name_ in (EVIL[:12], b"\x1b[2J", b"\xff" * 12, b"[red]", b"a\nb"):
        yield name_, EVIL


def write(folder: Path, messages: list[tuple[bytes, bytes]], *, last: bytes = b"") -> Path:
    peer = folder / "message_capture" / "203.0.113.9_8333"
    peer.mkdir(parents=True)
    records = [
        struct.pack("<Q12sI", START_US + 1000 * number, kind, len(payload)) + payload
        for number, (kind, payload) in enumerate(messages)
    ]
    (peer / "msgs_recv.dat").write_bytes(b"".join(records) + last)
    return folder


def run(*arguments: str | Path) -> str:
    done = subprocess.run([PEERWATCH, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def replayed(folder: Path, archive: Path) -> int:
    """Replay and tell the peak of its memory, kB."""
    code = (
        "import resource, sys; from peerwatch.cli.main import main; sys.argv[0] = 'peerwatch'\n"
        "try: main()\n"
        "finally: print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    arguments = [sys.executable, "-c", code, "replay", str(folder), "--archive", str(archive)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"peak (\d+)", done.stdout)
    assert found, done.stderr
    return int(found[1])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    run("replay", write(folder, list(hostile())), "--archive", folder / "archive")
    return folder / "archive"


def test_everything_has_a_row(archive: Path) -> None:
    """No message is left out, whatever it holds, and no type but the printable form of what was sent."""
    count, names = Query(archive).table("SELECT count(*) n, list(DISTINCT type) t FROM message").to_pylist()[0].values()
    assert count == len(list(hostile()))
    assert all(re.fullmatch(r"[ -~]{1,64}", name) for name in names)


def test_impossible_counts_are_flagged(archive: Path) -> None:
    """A list that cannot be there makes its message wrong: of each type with a count in front, every such message is."""
    counted = ("addr", "addrv2", "inv", "getdata", "notfound", "headers", "tx")
    sql = f"SELECT type, count(*) n FROM message WHERE error IS NULL AND size IN (9, 5) AND type IN {counted} GROUP BY ALL"
    assert Query(archive).table(sql).to_pylist() == []
    sql = (
        "SELECT count(*) n FROM message WHERE error IS NULL AND type IN ('tx', 'block', 'blocktxn', 'cmpctblock') AND size > 100"
    )
    assert Query(archive).table(sql).to_pylist() == [{"n": 0}]


def test_a_claim_beyond_any_message_ends_the_file_and_is_told(tmp_path: Path) -> None:
    """A record of 32 MB is none that a node writes: what came before counts, and a loss says so."""
    last = struct.pack("<Q12sI", START_US, b"block", 32 << 20) + bytes(100)
    write(tmp_path, [(b"ping", bytes(8))], last=last)
    run("replay", tmp_path, "--archive", tmp_path / "archive")
    query = Query(tmp_path / "archive")
    assert query.table("SELECT type FROM message").to_pylist() == [{"type": "ping"}]
    assert query.table("SELECT kind FROM loss").num_rows == 1


def test_memory_is_that_of_harmless_messages(tmp_path: Path) -> None:
    """Counts and lengths that are not there cost nothing; and a longest message costs about its own bytes."""
    evil = list(hostile()) * 4
    tame = [(b"zzz", bytes(len(payload))) for _, payload in evil]
    peaks = [
        replayed(write(tmp_path / name, messages), tmp_path / name / "archive")
        for name, messages in (("tame", tame), ("evil", evil), ("long", [(b"tx", HUGE + bytes(MAX_PROTOCOL_MESSAGE_LENGTH - 9))]))
    ]
    assert peaks[1] < peaks[0] + ALLOWED_MB * 1024
    assert peaks[2] < peaks[0] + ALLOWED_MB * 1024


def test_shown_harmlessly(archive: Path) -> None:
    """On a terminal and as JSON: no control byte but line ends, nothing that is not valid, markup as it was sent."""
    texts = [
        run("messages", "--archive", archive, "--last", "all"),
        run("messages", "--archive", archive, "--last", "all", "--json"),
        run("sql", "SELECT * FROM version", "--archive", archive),
        run("sql", "SELECT * FROM rejection", "--archive", archive, "--format", "json"),
        run("sql", "SELECT type, count(*) FROM message GROUP BY ALL", "--archive", archive, "--format", "csv"),
        run("alerts", "--archive", archive),
    ]
    for text in texts:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ufffd]", text)
    for line in texts[1].splitlines():
        json.loads(line)
    assert "[red]" in texts[0]
