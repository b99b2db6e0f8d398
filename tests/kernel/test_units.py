"""Tracer and watcher as units of their own, joined by a socket."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.kernel.conftest import BUILT
from tests.kernel.watched import ask, messages_fired, one, playing, wait_for

pytestmark = pytest.mark.kernel


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the watcher's user can reach, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="peerwatch-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_two_units_lose_nothing_when_the_watcher_is_restarted(folder: Path) -> None:
    """The watcher's unit is killed and started again: every message is recorded once; both end in good order."""
    binary = Path(shutil.copy2(BUILT / "peerwatch-player", folder / "node"))
    config, socket, archive = folder / "peerwatch.toml", folder / "run/tracer.sock", folder / "archive"
    socket.parent.mkdir(mode=0o750)
    config.write_text(f'[[node]]\nname = "alpha"\nbinary = "{binary}"\n')
    command = [sys.executable, "-m", "peerwatch"]
    shared = ["--config", str(config), "--socket", str(socket)]

    def unit(*arguments: str) -> subprocess.Popen[bytes]:
        with (folder / "units.log").open("ab") as log:
            return subprocess.Popen([*command, *arguments], stdout=log, stderr=log)

    tracer = unit("tracer", *shared, "--group", "nogroup")
    # Only then is the binary attached, and the player traced from its first message.
    wait_for(lambda: "does not run yet" in (folder / "units.log").read_text(), "the tracer")
    watcher = unit("watcher", *shared, "--archive", str(archive))
    try:
        with playing(binary, "--load", "200000", "--rate", "20000") as player:
            wait_for(lambda: ask(archive, "SELECT 1 FROM message LIMIT 1"), "first rows")
            # Its parent alone would leave it time to save, and the tracer would turn the next one away meanwhile.
            for process in [*psutil.Process(watcher.pid).children(), psutil.Process(watcher.pid)]:
                process.kill()
            watcher.wait()
            watcher = unit("watcher", *shared, "--archive", str(archive))
            fired = messages_fired(player.report())
        wait_for(lambda: one(archive, "SELECT count(*) FROM message") >= fired, "all messages")
        assert one(archive, "SELECT count(DISTINCT seq) FROM message") == fired
        watcher.send_signal(signal.SIGTERM)
        tracer.send_signal(signal.SIGTERM)
        assert (watcher.wait(30), tracer.wait(30)) == (0, 0)
        assert one(archive, "SELECT count(*) FROM message") == fired
    finally:
        for process in (watcher, tracer):
            process.kill()
            process.wait()
