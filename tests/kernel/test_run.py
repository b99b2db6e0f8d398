"""The whole, for real: a process with Core's tracepoints is traced by the kernel, recorded without rights, and asked for by SQL.

`make test` runs the short forms; the long ones are marked `soak`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

import peerwatch
from peerwatch.sources.usdt.kernel import kernel_release
from tests.kernel.conftest import BUILT
from tests.kernel.watched import Run, ask, messages_fired, one, playing, running, wait_for

pytestmark = pytest.mark.kernel

NODE = """
[[node]]
name = "alpha"
binary = "{binary}"
args = ["--name=alpha"]
"""

RECORDED = "SELECT count(*) FROM (SELECT DISTINCT node, session, source, seq FROM message)"
DROPPED = "SELECT coalesce(sum(count), 0)::BIGINT FROM loss WHERE kind = 'dropped'"
SHORT = pytest.param(1, id="short")
FULL = pytest.param(10, id="full", marks=pytest.mark.soak)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the watcher's user can reach, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="peerwatch-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def binary(folder: Path) -> Path:
    """A player of this test alone."""
    return Path(shutil.copy2(BUILT / "peerwatch-player", folder / "node"))


def balance(run: Run, fired: int) -> tuple[int, int]:
    """Rows recorded and declared drops, once they add up; they must in the end."""
    wait_for(
        lambda: one(run.archive, RECORDED) + one(run.archive, DROPPED) >= fired, f"{fired} messages recorded or declared lost"
    )
    return one(run.archive, RECORDED), one(run.archive, DROPPED)


@pytest.mark.parametrize("scale", [SHORT, FULL])
@pytest.mark.parametrize("cpus", ["0", "0,1"])
def test_everything_that_is_fired_is_recorded(folder: Path, binary: Path, cpus: str, scale: int) -> None:
    """100 k messages a second from two threads, on one CPU and on two: each is in the archive once, and nothing is lost."""
    load = ("--load", str(500_000 * scale), "--rate", "100000", "--threads", "2", "--name=alpha", "--coins", "1000")
    with running(folder, NODE.format(binary=binary)) as run, playing(binary, *load, prefix=("taskset", "-c", cpus)) as player:
        report = player.report()
        recorded, dropped = balance(run, messages_fired(report))
        wait_for(lambda: ask(run.archive, "SELECT 1 FROM node WHERE event = 'exited'"), "the end of the player recorded")
        coins = ask(run.archive, "SELECT sum(added) a, sum(spent) s, sum(uncached) u FROM utxocache WHERE event = 'second'")
        by_type = ask(run.archive, "SELECT inbound, type, count(*) n, sum(size) bytes FROM message GROUP BY ALL")
        assert run.stop() == 0

        assert (recorded, dropped) == (messages_fired(report), 0)
        assert one(run.archive, "SELECT count(*) FROM message") == recorded
        assert coins == [{"a": 1000, "s": 1000, "u": 1000}]
        for row in by_type:
            told = report["messages"]["inbound" if row["inbound"] else "outbound"][row["type"]]
            assert (row["n"], int(row["bytes"])) == (told["count"], told["bytes"])


@pytest.mark.parametrize("scale", [SHORT, FULL])
def test_nothing_is_lost_while_the_watcher_stands_still(folder: Path, binary: Path, scale: int) -> None:
    """SIGSTOP for 5 s at 100 k messages a second, then SIGCONT: the ring holds what came meanwhile."""
    load = ("--load", str(800_000 * scale), "--rate", "100000", "--threads", "2", "--name=alpha")
    with running(folder, NODE.format(binary=binary)) as run, playing(binary, *load) as player:
        run.wait_said("probes attached")
        wait_for(lambda: ask(run.archive, "SELECT 1 FROM message LIMIT 1"), "first rows")
        watcher = run.watcher()
        watcher.suspend()
        time.sleep(5)
        watcher.resume()
        report = player.report()
        assert balance(run, messages_fired(report)) == (messages_fired(report), 0)
        assert run.stop() == 0


@pytest.mark.parametrize("kills", [pytest.param(4, id="short"), pytest.param(20, id="full", marks=pytest.mark.soak)])
def test_kills_lose_nothing(folder: Path, binary: Path, kills: int) -> None:
    """Kill -9 of the watcher at random moments at 100 k messages a second: rows and declared drops are what was fired."""
    seed = secrets.randbits(32)
    chance = np.random.default_rng(seed)
    load = ("--load", "forever", "--rate", "100000", "--threads", "2", "--name=alpha")
    with running(folder, NODE.format(binary=binary)) as run, playing(binary, *load) as player:
        run.wait_said("probes attached")
        for _ in range(kills):
            time.sleep(chance.uniform(0.3, 2.0))
            run.kill_watcher()
        time.sleep(1)
        player.process.send_signal(signal.SIGTERM)
        fired = messages_fired(player.report())
        recorded, dropped = balance(run, fired)
        assert run.stop() == 0
        assert recorded + dropped == fired, f"seed {seed}"
        assert one(run.archive, "SELECT count(*) FROM message") == recorded, f"seed {seed}"
        assert one(run.archive, "SELECT sum(messages)::BIGINT FROM rate WHERE width = 1") == recorded, f"seed {seed}"
        described = "SELECT count(*) FROM (SELECT peer FROM connection WHERE event = 'opened' GROUP BY peer HAVING count(*) <> 1)"
        assert one(run.archive, described) == 0


def test_a_restarted_node_is_traced_from_its_first_message(folder: Path, binary: Path) -> None:
    """Killed and started again: the first message of the new process is there, and the gap is a row with both times."""
    with running(folder, NODE.format(binary=binary)) as run:
        with playing(binary, "--load", "forever", "--rate", "2000", "--name=alpha") as player:
            run.wait_said("probes attached")
            wait_for(lambda: ask(run.archive, "SELECT 1 FROM message LIMIT 1"), "first rows")
            player.process.kill()
            player.process.communicate()
            died = time.time_ns()
        time.sleep(1)
        born = time.time_ns()
        with playing(binary, "--load", "5000", "--rate", "10000", "--name=alpha") as second:
            report = second.report()
        again = "SELECT count(*) FROM message WHERE session = (SELECT max(session) FROM message)"
        wait_for(lambda: one(run.archive, again) == messages_fired(report), "all of the second process")
        (gap,) = wait_for(lambda: ask(run.archive, "SELECT first_ts, last_ts FROM loss WHERE kind = 'gap'"), "the gap")
        assert run.stop() == 0
        assert died - 1_000_000_000 < gap["first_ts"] < born < gap["last_ts"] < time.time_ns()
        sequence = ask(run.archive, "SELECT min(seq) low FROM message WHERE session = (SELECT max(session) FROM message)")
        assert sequence[0]["low"] < 1000  # only the connections' own records come before


def test_a_process_of_the_same_binary_that_is_not_configured_leaves_no_row(folder: Path, binary: Path) -> None:
    """Two processes of one binary, one of them configured."""
    with (
        running(folder, NODE.format(binary=binary)) as run,
        playing(binary, "--load", "20000", "--rate", "10000", "--name=stranger") as stranger,
        playing(binary, "--load", "20000", "--rate", "10000", "--name=alpha") as player,
    ):
        report = player.report()
        stranger.report()
        assert balance(run, messages_fired(report)) == (messages_fired(report), 0)
        assert run.stop() == 0
        assert ask(run.archive, "SELECT DISTINCT node, pid FROM node WHERE pid IS NOT NULL") == [
            {"node": "alpha", "pid": report["pid"]}
        ]


CAPABILITIES = (
    "--inh-caps",
    "-all,+bpf,+perfmon",
    "--ambient-caps",
    "-all,+bpf,+perfmon",
    "--bounding-set",
    "-all,+bpf,+perfmon",
)
OTHER_USER = ("setpriv", "--reuid", "3000", "--regid", "3000", "--clear-groups", "--no-new-privs", *CAPABILITIES)
NODE_USER = ("setpriv", "--reuid", "2000", "--regid", "2000", "--clear-groups")


def for_everybody(folder: Path) -> tuple[str, dict[str, str]]:
    """A Python that every user can run, and where it finds peerwatch: this checkout may lie where others cannot read."""
    version = f"python3.{sys.version_info.minor}"
    choices = [os.path.realpath(sys.executable), f"/usr/bin/{version}"]
    python = next(
        (c for c in choices if Path(c).exists() and all(p.stat().st_mode & 0o001 for p in [Path(c), *Path(c).parents])), None
    )
    if python is None:
        pytest.skip(f"no {version} that other users can execute")
    paths = [Path(peerwatch.__file__).parents[1], Path(np.__file__).parents[1]]
    for number, path in enumerate(paths):
        if not all(p.stat().st_mode & 0o001 for p in path.parents):
            paths[number] = Path(shutil.copytree(path, folder / f"code{number}", symlinks=True))
    return python, {"PYTHONPATH": ":".join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}


def test_two_capabilities_are_enough(folder: Path, binary: Path) -> None:
    """With CAP_BPF and CAP_PERFMON alone, as another user than the node's: traced, killed, restarted, nothing lost."""
    if kernel_release() < (6, 6):
        pytest.skip("multi-uprobe links need Linux 6.6")
    python, environment = for_everybody(folder)
    folder.chmod(0o777)
    load = ("--load", "300000", "--rate", "50000", "--threads", "2", "--name=alpha")
    as_other = {"prefix": OTHER_USER, "python": python, "environment": environment}
    with running(folder, NODE.format(binary=binary), **as_other) as run, playing(binary, *load, prefix=NODE_USER) as player:
        run.wait_said("probes attached")
        run.kill_watcher()
        watcher = run.watcher().pid
        wait_for(lambda: "CapBnd:\t0000000000000000" in Path(f"/proc/{watcher}/status").read_text(), "the watcher without rights")
        status = Path(f"/proc/{watcher}/status").read_text()
        report = player.report()
        assert balance(run, messages_fired(report)) == (messages_fired(report), 0)
        assert run.stop() == 0
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert f"{field}:\t0000000000000000" in status
    assert "Uid:\t3000\t3000\t3000\t3000" in status


def test_a_node_that_restarts_again_and_again_keeps_its_rows_apart(folder: Path, binary: Path) -> None:
    """Three processes within a moment, by the player's own restart: every message of each is there, in a session of its own."""
    with (
        running(folder, NODE.format(binary=binary)) as run,
        playing(binary, "--load", "60000", "--rate", "20000", "--name=alpha", "--report", str(folder / "reports")) as player,
    ):
        run.wait_said("probes attached")
        for _ in range(2):
            time.sleep(0.4)
            newest = max(
                (p for p in psutil.process_iter(["exe"]) if p.info["exe"] == str(binary)), key=psutil.Process.create_time
            )
            newest.send_signal(signal.SIGHUP)
        player.process.communicate()
        wait_for(
            lambda: (folder / "reports").exists() and '"successor":null' in (folder / "reports").read_text(), "the last report"
        )
        reports = [json.loads(line) for line in (folder / "reports").read_text().splitlines()]
        fired = sum(map(messages_fired, reports))
        assert balance(run, fired) == (fired, 0)
        assert one(run.archive, "SELECT count(DISTINCT session) FROM message") == len(reports) == 3
        assert run.stop() == 0
