"""The fuzz targets find nothing in a minute, and would find something if there were anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from peerwatch.wire.raw import KNOWN_TYPES
from tests.fuzz import capture, messages
from tests.fuzz.run import LONGEST, TARGETS
from tests.reference.decode import layouts

RUN = Path(__file__).with_name("run.py")
SECONDS = {"messages": 60, "capture": 15}

PLANTED = f"""
import sys
sys.path.insert(0, {str(RUN.parents[2])!r})
from tests.fuzz import messages, run
messages.dissected = lambda _messages: []
run.main()
"""
"""A run over a dissector that loses everything."""


def run(*command: object) -> tuple[int, str]:
    """Exit status and all output of a process."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(target: str, tmp_path: Path) -> None:
    """A run from the seeds ends by itself without a failure, and has tried a good many inputs."""
    status, output = run(RUN, target, "--seconds", SECONDS[target], "--work", tmp_path)
    assert status == 0, f"an input is read wrongly:\n{output[-6000:]}"
    assert int(output.split("number_of_executed_units:")[1].split()[0]) > 20 * SECONDS[target]


def test_a_failure_is_loud(tmp_path: Path) -> None:
    """A run ends at the first input that is read wrongly, with the reason, and leaves the input, which fails again."""
    status, output = run("-c", PLANTED, "messages", "--work", tmp_path)
    assert status != 0
    assert "Uncaught Python exception" in output
    (left,) = tmp_path.glob("messages-failed-*")
    assert str(left) in output
    assert run("-c", PLANTED, "messages", "--work", tmp_path, left)[0] != 0
    assert run(RUN, "messages", "--work", tmp_path, left)[0] == 0


def test_a_wrong_row_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target raises as soon as one column of one message is not what the plain decoder has, and names it."""
    data = messages.written([("ping", bytes(8)), ("pong", b"12345678")])
    messages.one_input(data)
    monkeypatch.setattr(messages, "dissected", lambda _raw: [([{"pong": False, "nonce": 0}], None), ([], None)])
    with pytest.raises(AssertionError, match="pong, 8 bytes sent, kept 3132333435363738"):
        messages.one_input(data)


def test_inputs_reach_every_case() -> None:
    """Whole, cut and boundless messages, and those of an unknown type, all have inputs; what is cut short is taken as it is."""
    data = b"\0\xff\x02\0ab" + b"\x01\x7f\x04\0abcd" + b"\x02\xfe\x01\0a" + b"\xff\xff\x09\0xyz"
    assert messages.messages(data) == [
        ("version", b"ab", 2),
        ("verack", b"ab", 4),
        ("addr", b"a", 4_000_001),
        ("nosuchtype", b"xyz", 3),
    ]


def test_seeds_are_of_every_type() -> None:
    """Every type that has a dissector is among the seeds, and every seed passes."""
    seeds = list(messages.seeds(LONGEST))
    assert {kind for seed in seeds for kind, _, _ in messages.messages(seed)} >= layouts().keys()
    assert max(map(len, seeds)) <= LONGEST
    assert len(KNOWN_TYPES) < 255  # one byte names a type
    for seed in seeds[::10]:
        messages.one_input(seed)


def test_a_lost_record_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target for capture files notices a record that is not delivered, and loss that is not told."""
    record = capture.HEAD.pack(5, b"ping", 8) + bytes(8)
    data = b"\xff\xff" + record * 4 + b"rest"
    capture.one_input(data)
    real = capture.records
    monkeypatch.setattr(capture, "records", lambda file: (real(file)[0][:-1], False))
    with pytest.raises(AssertionError):
        capture.one_input(data)
    monkeypatch.setattr(capture, "records", lambda file: (real(file)[0], True))
    with pytest.raises(AssertionError):
        capture.one_input(data)
