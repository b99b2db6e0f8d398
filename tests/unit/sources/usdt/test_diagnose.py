"""What doctor knows about tracing, on this machine."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from peerwatch.sources.usdt import diagnose as module
from peerwatch.sources.usdt.diagnose import Fact, State, diagnose
from peerwatch.sources.usdt.discover import Wanted
from peerwatch.sources.usdt.privileges import Account

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

BUILT = Path(__file__).parents[4] / "build/player"
NAMES = [
    "kernel", "preemption", "libbpf", "program", "capabilities", "loading", "bpf(2)", "call filter", "user namespaces",
    "process ids", "memory", "code",
]  # fmt: skip


def by_name(facts: list[Fact]) -> dict[str, Fact]:
    return {fact.name: fact for fact in facts}


def test_every_fact_that_is_not_fine_says_what_to_do() -> None:
    """Facts come in a fixed order, each with what was found, and with one line of advice exactly when it needs one."""
    facts = diagnose([Wanted("alice", binary="/nowhere/bitcoind")])
    assert [fact.name for fact in facts] == [*NAMES, "alice"]
    for fact in facts:
        assert fact.found
        assert bool(fact.advice) == (fact.state is not State.OK), fact
        assert "\n" not in fact.found + fact.advice


@pytest.mark.parametrize(
    ("release", "machine", "state"),
    [
        ("5.15.0-91-generic", "x86_64", State.FAILED),
        ("6.1.0-50-amd64", "x86_64", State.WARNING),
        ("6.6.0", "x86_64", State.OK),
        ("7.0-rc1", "x86_64", State.OK),
        ("6.12.1", "aarch64", State.FAILED),
    ],
)
def test_kernels_are_judged_by_release(monkeypatch: pytest.MonkeyPatch, release: str, machine: str, state: State) -> None:
    """Too old fails, before multi-uprobe links is a limitation, and another machine cannot be traced."""
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert module._kernel().state is state


@root_only
def test_without_rights_it_says_how_to_get_them(in_child: Callable[..., Any]) -> None:
    """A plain user is told what is missing; nothing raises."""

    def body() -> list[dict[str, str]]:
        os.setgroups([])
        os.setresgid(30128, 30128, 30128)
        os.setresuid(30128, 30128, 30128)
        return [asdict(fact) for fact in diagnose()]

    facts = {fact["name"]: fact for fact in in_child(body)}
    assert facts["capabilities"]["state"] == "failed"
    assert "sudo" in facts["capabilities"]["advice"]
    assert facts["loading"]["state"] == "failed"


@pytest.mark.parametrize(
    ("binary", "state", "words"),
    [
        ("peerwatch-player", State.OK, "16 probes"),
        ("player-older", State.WARNING, "the binary does not have it"),
        ("player-changed", State.WARNING, "instead of"),
        ("player-noprobes", State.FAILED, "no tracepoints"),
    ],
)
def test_binaries_are_examined(tmp_path: Path, binary: str, state: State, words: str) -> None:
    """What can be seen of a configured binary is told before it runs."""
    path = shutil.copy2(BUILT / binary, tmp_path / "node")
    fact = by_name(diagnose([Wanted("alice", binary=str(path))]))["alice, not running"]
    assert fact.state is state
    assert words in fact.found


def test_a_running_node_is_found(player: Any) -> None:
    """A node that runs is told with its process."""
    pid = player("--name", "x")
    facts = by_name(diagnose([Wanted("alice", binary=player.path), Wanted("bob", args=("--name=nobody",))]))
    assert facts[f"alice, process {pid}"].state is State.OK
    assert facts["bob"].state is State.WARNING


def test_a_binary_that_cannot_be_read_is_a_fact(tmp_path: Path) -> None:
    """A text in place of a binary gives advice and no error; odd names are escaped."""
    path = tmp_path / "no\x1bde"
    path.write_text("#!/bin/sh\n")
    fact = by_name(diagnose([Wanted("alice", binary=str(path))]))["alice, not running"]
    assert fact.state is State.FAILED
    assert "\x1b" not in fact.found + fact.advice


@root_only
def test_code_that_the_watchers_user_can_write_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By owner, by group, or by everybody; a sticky folder and a link are no such thing."""
    account = Account("somebody", 30129, 30130, (30131,))
    places = {"owner": (30129, 0, 0o644), "group": (0, 30131, 0o664), "all": (0, 0, 0o666)}
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    (tmp_path / "link").symlink_to("sticky")
    found = {}
    for name, (uid, gid, mode) in places.items():
        path = tmp_path / name
        path.touch()
        os.chown(path, uid, gid)
        path.chmod(mode)
        monkeypatch.setattr(module, "_code_files", lambda path=path: iter([path]))
        found[name] = module._code(account).state
    monkeypatch.setattr(module, "_code_files", lambda: iter([tmp_path / "sticky", tmp_path / "link", tmp_path / "none"]))
    found["none"] = module._code(account).state
    assert found == {"owner": State.WARNING, "group": State.WARNING, "all": State.WARNING, "none": State.OK}


def test_the_code_is_the_package_and_what_python_imports_from() -> None:
    """The files that are looked at include the interpreter, this package and all folders above them."""
    files = set(module._code_files())
    assert Path(module.__file__) in files
    assert Path("/") in files
    assert any(path.name.startswith("python3") for path in files)


def test_a_ring_that_does_not_fit_is_told() -> None:
    """More than half of what is available is too much."""
    assert module._memory(1 << 50).state is State.WARNING
    assert module._memory(1 << 20).state is State.OK
