"""The node is installed once, whole or not at all, and it is said why if it cannot be. debootstrap is played by a script here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.install_node import BINARY, NodeInstallError, cache_folder, install

pytestmark = pytest.mark.node

SCRIPT = Path(__file__).parents[2] / "tools/install_node.py"
WHOLE = 'mkdir -p "$4/usr/bin"; sleep 1; echo made >> "$4.count"; echo x > "$4/usr/bin/bitcoind"'
"""As debootstrap is called: --variant, --include, the suite, and the folder."""


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a script is that is run in place of debootstrap."""
    if os.geteuid() != 0:
        pytest.skip("only root installs a node")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "debootstrap"


def write(script: Path, commands: str) -> None:
    """Let `debootstrap` do this."""
    script.write_text(f"#!/bin/sh\n{commands}\n")
    script.chmod(0o755)


def test_two_at_a_time_make_one(played: Path, tmp_path: Path) -> None:
    """Both get the same folder, which one of them made; nothing unfinished is left."""
    write(played, WHOLE)
    folder = tmp_path / "cache/node"
    asking = [
        subprocess.Popen([sys.executable, str(SCRIPT), str(folder)], stdout=subprocess.PIPE, text=True, cwd="/") for _ in range(2)
    ]
    assert [process.communicate(timeout=60)[0] for process in asking] == [f"{folder}\n"] * 2
    assert [path.read_text() for path in folder.parent.glob("*.count")] == ["made\n"]
    assert sorted(path.name for path in folder.parent.iterdir() if not path.name.endswith(".count")) == ["node", "node.lock"]


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ("echo 'E: cannot reach https://mirror.example/debian' >&2; exit 1", "cannot reach the mirror"),
        ('mkdir -p "$4/usr"; exit 0', "it said nothing"),
    ],
)
def test_a_failure_is_said_and_leaves_nothing(played: Path, tmp_path: Path, commands: str, why: str) -> None:
    """What debootstrap said last, without the address of the mirror; the next attempt begins anew."""
    write(played, commands)
    folder = tmp_path / "cache/node"
    with pytest.raises(NodeInstallError, match=why):
        install(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["node.lock"]
    write(played, WHOLE)
    assert (install(folder) / BINARY).exists()


def test_the_folder_is_the_cache_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unless one is named; never in a home that other users cannot look into."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/var/cache/peerwatch/node")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "peerwatch/node"
