"""The command line, the cost of a probe, and everything that cannot be done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

PLAYER = "peerwatch-player"
OPTIONS = (
    *("report", "pid-file", "name", "wait-attached", "threads", "speed", "loop"),
    *("load", "rate", "mix", "seed", "peers", "no-connections", "coins", "record", "cost", "rounds"),
)


def run(binaries: Path, *arguments: object, name: str = PLAYER) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binaries / name, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing to play"),
        (["--bogus"], "unknown option, try --help: --bogus"),
        (["--load"], "option needs a value: --load"),
        (["a", "b"], "one argument too many: b"),
        (["--speed", "0", "x"], "--speed is not a number above 0"),
        (["--speed", "1x", "x"], "--speed is not a number above 0"),
        (["--rate", "nan", "--load", "1"], "--rate is not a number above 0"),
        (["--threads", "257", "x"], "--threads is not a whole number from 1 to 256: 257"),
        (["--load", "-1"], "--load is not a whole number"),
        (["--load", "99999999999999999999"], "--load is not a whole number"),
        (["--load", "1", "x"], "--load plays no file: x"),
        (["--load", "1", "--mix", "odd"], "--mix (normal, big or SIZE) is not a whole number"),
        (["--load", "forever", "--coins", "1"], "--load must have an end"),
        (["--load", "1", "--record", "x"], "--record needs a number of messages and a rate"),
        (["--cost", "100"], "how often? --cost SIZE COUNT"),
        (["--cost", "100", "0"], "COUNT is not a whole number from 1"),
        (["--cost", "100", "--nonresident=1", "5"], "--nonresident=1: the payload has only 1 pages"),
        (["--loop", "-"], "--loop needs a file"),
        (["--resume", "x", "--load", "1"], "--resume is only for restarts: x"),
        (["--resume", "x", "y"], "--resume is only for restarts: x"),
        (["/nowhere/x.play"], "cannot read /nowhere/x.play: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(binaries: Path, arguments: list[str], says: str) -> None:
    """The line says what is wrong; nothing goes to standard output."""
    done = run(binaries, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("peerwatch-player: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--load", "1", "--report", "/nowhere/report"], "cannot write the report /nowhere/report"),
        (["--load", "1", "--pid-file", "/nowhere/pid"], "cannot write /nowhere/pid"),
        (["--load", "1", "--rate", "1", "--record", "/dev/full"], "cannot write /dev/full: No space left on device"),
        (["--load", "1", "--report", "/dev/full"], "cannot write the report: No space left on device"),
        (["--load", "1", "--wait-attached", "0.1"], "no tracer came within 0.1 s"),
    ],
)
def test_what_fails_outside_is_one_line_and_status_1(binaries: Path, arguments: list[str], says: str) -> None:
    """Nothing was wrong with the command, but it could not be carried out."""
    done = run(binaries, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_names_every_option_and_has_examples(binaries: Path) -> None:
    """--help succeeds."""
    done = run(binaries, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for option in OPTIONS:
        assert f"--{option} " in done.stdout or f"--{option}\n" in done.stdout
    assert "Examples:" in done.stdout


def test_a_name_is_ignored(binaries: Path) -> None:
    """--name only makes the command line tell players apart."""
    done = run(binaries, "--name", "-datadir=/nowhere", "--load", 10, "--no-connections")
    assert sum(json.loads(done.stdout)["fired"].values()) == 10


def test_a_pid_file_is_there_while_it_waits(binaries: Path, tmp_path: Path) -> None:
    """It holds the process id as soon as signals are heard, also before a tracer has come; SIGTERM ends the wait."""
    command = [binaries / PLAYER, "--load", "1", "--wait-attached", "60", "--pid-file", tmp_path / "pid"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not (tmp_path / "pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert (tmp_path / "pid").read_text() == f"{process.pid}\n"
        assert [p.name for p in tmp_path.iterdir()] == ["pid"]
        process.terminate()
        report = json.loads(process.communicate(timeout=30)[0])
    assert (report["ended"], sum(report["fired"].values())) == ("stopped", 0)


def test_cost_is_measured_over_rounds(binaries: Path) -> None:
    """One JSON object; the least is no more than the mean, and nobody listens here."""
    result = json.loads(run(binaries, "--cost", 250, 20000, "--rounds", 3).stdout)
    assert (result["size_bytes"], result["count"], result["rounds"], result["attached"]) == (250, 20000, 3, False)
    assert 0 < result["least_ns"] <= result["mean_ns"]
    assert result["nonresident_bytes"] == 0


@pytest.mark.parametrize(("option", "pages"), [("--nonresident", 3), ("--nonresident=1", 2)])
def test_pages_of_the_payload_can_be_dropped(binaries: Path, option: str, pages: int) -> None:
    """All pages, or those from a page on."""
    page = os.sysconf("SC_PAGESIZE")
    result = json.loads(run(binaries, "--cost", 2 * page + 1, option, 100).stdout)
    assert result["nonresident_bytes"] == pages * page


def test_a_signal_ends_a_long_measurement(binaries: Path, tmp_path: Path) -> None:
    """In the middle of a round."""
    command = [binaries / PLAYER, "--cost", "8", "--pid-file", tmp_path / "pid", "1000000000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not (tmp_path / "pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.terminate()
        assert process.wait(timeout=30) == -signal.SIGTERM


def test_cost_needs_the_probe(binaries: Path) -> None:
    """A binary without the probe has nothing to measure."""
    done = run(binaries, "--cost", 1, 1, name="player-noprobes")
    assert (done.returncode, done.stderr) == (1, "peerwatch-player: this build has no net:inbound_message\n")
