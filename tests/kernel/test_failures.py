"""What goes wrong, as an operator meets it: one clear line, the right exit status, and nothing lost that was recorded before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.conftest import BUILT
from tests.kernel.watched import ask, messages_fired, one, playing, running, wait_for

pytestmark = pytest.mark.kernel

NODE = '[[node]]\nname = "alpha"\nbinary = "{binary}"\n'


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the watcher's user can reach, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="peerwatch-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def peerwatch(*arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [*prefix, sys.executable, "-m", "peerwatch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def assert_one_line(result: subprocess.CompletedProcess[str], *words: str, status: int = 1) -> None:
    """It failed with the status, and said why in one line, without a traceback."""
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    for word in words:
        assert word in line


def hidden(path: str) -> tuple[str, ...]:
    """A prefix under which a file cannot be loaded, in a mount namespace of its own."""
    script = f'mount --bind /dev/null "{path}" && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, "sh")


def test_without_rights(folder: Path) -> None:
    """A user without capabilities is told which are needed."""
    (folder / "node.toml").write_text(NODE.format(binary=BUILT / "peerwatch-player"))
    arguments = ("run", "--config", str(folder / "node.toml"), "--archive", str(folder / "archive"))
    prefix = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all")
    assert_one_line(peerwatch(*arguments, prefix=prefix), "CAP_BPF", "CAP_PERFMON")


def test_without_libbpf(folder: Path) -> None:
    """The missing library is named together with its package."""
    (library,) = [line.split("=> ")[1] for line in _ldconfig() if "libbpf.so.1 " in line]
    arguments = ("run", "--node", "args=--no-node-has-this", "--archive", str(folder / "archive"))
    assert_one_line(peerwatch(*arguments, prefix=hidden(os.path.realpath(library))), "libbpf")


def _ldconfig() -> list[str]:
    return [
        line.strip()
        for line in subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout.splitlines()
    ]


def test_without_libbpf_the_demo_goes_on(folder: Path) -> None:
    """The same scenario is fed past the kernel, and that is said."""
    (library,) = [line.split("=> ")[1] for line in _ldconfig() if "libbpf.so.1 " in line]
    result = peerwatch("demo", "--for", "20", "--archive", str(folder / "archive"), prefix=hidden(os.path.realpath(library)))
    assert result.returncode == 0, result.stderr
    assert "Cannot trace here" in result.stdout
    assert "past the kernel" in result.stdout
    assert one(folder / "archive", "SELECT count(*) FROM message") > 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nodes = 1", ("nodes", "node")),
        ("[[node]]\nname = 'a b'\nbinary = '/x'", ("a b", "letters")),
        ("[[node]", ("TOML",)),
        ("[detect.addr_flod]\nx = 1", ("addr_flod", "addr_flood")),
        ("ring_mib = 'big'", ("ring_mib",)),
    ],
)
def test_with_a_broken_configuration(folder: Path, text: str, words: tuple[str, ...]) -> None:
    """The key is named, and the one that may have been meant."""
    (folder / "broken.toml").write_text(text)
    assert_one_line(peerwatch("run", "--config", str(folder / "broken.toml")), "broken.toml", *words)


def test_with_wrong_usage() -> None:
    """Status 2, as for every command line."""
    assert peerwatch("run", "--archve", "x").returncode == 2
    assert peerwatch("nothing").returncode == 2


@pytest.mark.parametrize(
    ("built", "missing"),
    [
        ("player-noprobes", {"net:inbound_message", "mempool:added"}),
        ("player-older", {"net:evicted_inbound_connection", "net:misbehaving_connection", "mempool:added"}),
        ("player-changed", {"net:inbound_message", "net:closed_connection"}),
    ],
)
def test_a_binary_that_lacks_or_changed_probes(folder: Path, built: str, missing: set[str]) -> None:
    """What is there is traced; what is missing or not understood is a row of kind blind with its reason."""
    binary = Path(shutil.copy2(BUILT / built, folder / "node"))
    options = ["--load", "forever", "--rate", "1000"]
    player = subprocess.Popen([str(binary), *options], stdout=subprocess.DEVNULL)
    try:
        with running(folder, NODE.format(binary=binary)) as run:
            blind = "SELECT DISTINCT probe FROM loss WHERE kind = 'blind'"
            wait_for(
                lambda: missing <= {r["probe"] for r in ask(run.archive, blind)} or _all_blind(run.archive), "the blind spots"
            )
            assert one(run.archive, "SELECT count(*) FROM loss WHERE kind = 'blind' AND reason = ''") == 0
            if built == "player-changed":
                wait_for(lambda: ask(run.archive, "SELECT 1 FROM message WHERE NOT inbound LIMIT 1"), "outbound messages")
                assert one(run.archive, "SELECT count(*) FROM message WHERE inbound") == 0
            assert run.stop() == 0
    finally:
        player.kill()
        player.wait()


def _all_blind(archive: Path) -> bool:
    return bool(ask(archive, "SELECT 1 FROM loss WHERE kind = 'blind' AND probe IS NULL"))


def test_a_process_that_is_gone(folder: Path) -> None:
    """A configured pid that is dead: said, and waited for; it ends in good order."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    config = f'[[node]]\nname = "alpha"\npid = {gone.pid}\n'
    with running(folder, config) as run:
        run.wait_said("alpha does not run yet")
        assert run.stop() == 0


def test_a_full_disk(folder: Path) -> None:
    """Recording stops and detection goes on; what was recorded stays, and the loss is a row once there is room again."""
    binary = Path(shutil.copy2(BUILT / "peerwatch-player", folder / "node"))
    archive = folder / "archive"
    archive.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,uid=65534,gid=65534,mode=0755", "tmpfs", str(archive)], check=True)
    try:
        with (
            running(folder, NODE.format(binary=binary)) as run,
            playing(binary, "--load", "forever", "--rate", "20000") as player,
        ):
            wait_for(lambda: ask(archive, "SELECT 1 FROM message LIMIT 1"), "first rows")
            run.wait_said("unrecorded on alpha")
            before = one(archive, "SELECT count(*) FROM message")
            subprocess.run(["mount", "-o", "remount,size=200m", str(archive)], check=True)
            lost = "SELECT sum(count)::BIGINT FROM loss WHERE kind = 'dropped' AND reason LIKE 'Not record%'"
            wait_for(lambda: ask(archive, "SELECT 1 FROM loss WHERE reason LIKE 'Not record%'"), "the loss said")
            player.process.terminate()
            fired = messages_fired(player.report())
            wait_for(lambda: ask(archive, "SELECT 1 FROM node WHERE event = 'exited'"), "the end of the player")
            assert run.stop() == 0
            recorded = one(archive, "SELECT count(*) FROM message")
            assert recorded > before
            assert recorded + one(archive, lost) >= fired
    finally:
        subprocess.run(["umount", str(archive)], check=True)
