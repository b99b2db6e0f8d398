"""Giving up rights, in real processes."""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import struct
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from peerwatch.sources.usdt import privileges
from peerwatch.sources.usdt.privileges import (
    CAPABILITIES,
    Account,
    PrivilegeError,
    drop,
    group_id,
    hand_over,
    namespaces_allowed,
    rights,
    watcher_account,
)
from peerwatch.sources.usdt.seccomp import refuse_calls

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

NOBODY = Account("nobody", 65534, 65534, (65534,))
SOMEBODY = 30123
"""A user id that nobody has."""

NOTHING = {
    "inheritable": 0,
    "permitted": 0,
    "effective": 0,
    "bounding": 0,
    "ambient": 0,
    "no_new_privs": True,
    "filtered": True,
}


def dumpable() -> int:
    """Whether others of the same user can look into this process, and a crash writes a core file."""
    return int(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE


def become(uid: int, *names: str) -> None:
    """Be another user with certain capabilities, and these alone in the bounding set, as a service manager has it."""
    libc = ctypes.CDLL(None, use_errno=True)
    mask = sum(1 << CAPABILITIES.index(name) for name in names)
    for number in range(len(CAPABILITIES)):
        if not mask >> number & 1:
            libc.prctl(24, number, 0, 0, 0)  # PR_CAPBSET_DROP
    libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
    sets = ctypes.create_string_buffer(struct.pack("=6I", low, low, 0, high, high, 0))
    assert libc.capset(header, sets) == 0


@root_only
def test_root_becomes_another_user_without_any_right(in_child: Callable[..., Any]) -> None:
    """All five capability sets are empty, privileges cannot come back, and user and groups are the account's."""

    def body() -> Any:
        return drop(NOBODY), asdict(rights()), os.getresuid(), os.getresgid(), os.getgroups(), dumpable()

    assert in_child(body) == [[], NOTHING, [65534] * 3, [65534] * 3, [65534], 0]


@root_only
def test_there_is_no_way_back(in_child: Callable[..., Any]) -> None:
    """Becoming root again, running a program, and looking into another process fail."""

    def body() -> list[str]:
        drop(NOBODY)
        failed = []
        for name, attempt in (
            ("setuid", lambda: os.setresuid(0, 0, 0)),
            ("setgroups", lambda: os.setgroups([0])),
            ("execve", lambda: os.execv("/bin/true", ["true"])),  # noqa: S606 - that it fails is the point
            ("mem", lambda: os.open("/proc/1/mem", os.O_RDONLY)),
            ("shadow", lambda: os.open("/etc/shadow", os.O_RDONLY)),
        ):
            try:
                attempt()
            except PermissionError:
                failed.append(name)
        return failed

    assert in_child(body) == ["setuid", "setgroups", "execve", "mem", "shadow"]


@root_only
def test_two_capabilities_are_dropped_in_a_namespace(in_child: Callable[..., Any]) -> None:
    """Started with CAP_BPF and CAP_PERFMON alone, the same user ends without any, the bounding set included."""

    def body() -> Any:
        become(SOMEBODY, "bpf", "perfmon")
        before = rights().names()
        return before, drop(None), asdict(rights()), os.getresuid(), os.getresgid(), dumpable()

    if not in_child(lambda: (become(SOMEBODY, "bpf", "perfmon"), namespaces_allowed())[1]):
        pytest.skip("user namespaces are not allowed here")
    assert in_child(body) == [["perfmon", "bpf"], [], NOTHING, [SOMEBODY] * 3, [SOMEBODY] * 3, 0]


@root_only
def test_without_namespaces_the_rest_is_dropped_and_said(in_child: Callable[..., Any]) -> None:
    """Where user namespaces are forbidden the bounding set stays, which is told; every right in effect is gone."""

    def body() -> Any:
        become(SOMEBODY, "bpf", "perfmon")
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        assert refuse_calls() is None  # as RestrictNamespaces= of a service does
        return drop(None), asdict(rights())

    sentences, left = in_child(body)
    assert len(sentences) == 1
    assert "bounding set" in sentences[0]
    kept = sum(1 << CAPABILITIES.index(name) for name in ("bpf", "perfmon"))
    assert left == {**NOTHING, "bounding": kept}


def test_a_plain_user_can_drop_too(in_child: Callable[..., Any]) -> None:
    """Without any capability to begin with, the result is the same."""

    def body() -> Any:
        if os.geteuid() == 0:
            become(SOMEBODY)
        drop(None)
        return asdict(rights())

    assert {**in_child(body), "bounding": 0} == NOTHING


def test_a_second_thread_is_refused(in_child: Callable[..., Any]) -> None:
    """Capabilities belong to threads, so one that would keep them is an error."""

    def body() -> str:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        try:
            drop(NOBODY)
        except PrivilegeError as error:
            return str(error)
        finally:
            done.set()
            thread.join()
        return ""

    assert "thread" in in_child(body)


@pytest.mark.parametrize("account", [Account("root", 0, 1), Account("root", 1, 0)])
def test_root_is_not_an_account(in_child: Callable[..., Any], account: Account) -> None:
    """Staying root, or in root's group, is refused before anything is dropped."""

    def body() -> list[Any]:
        before = asdict(rights())
        try:
            drop(account)
        except PrivilegeError as error:
            return [str(error), asdict(rights()) == before]
        return []

    text, unchanged = in_child(body)
    assert "must not run as root" in text
    assert unchanged


@root_only
def test_root_must_become_somebody(in_child: Callable[..., Any]) -> None:
    """Without an account, root keeps its rights and is told."""

    def body() -> str:
        try:
            drop(None)
        except PrivilegeError as error:
            return str(error)
        return ""

    assert "must not run as root" in in_child(body)


@root_only
def test_the_account_is_chosen_in_order(tmp_path: Path) -> None:
    """The configured user, else who called sudo, else the archive's owner, else nobody."""
    os.chown(tmp_path, pwd.getpwnam("daemon").pw_uid, -1)
    sudo = {"SUDO_USER": "bin"}
    missing = tmp_path / "none"
    chosen = [
        watcher_account("games", tmp_path, sudo),
        watcher_account(None, tmp_path, sudo),
        watcher_account(None, tmp_path, {"SUDO_USER": "root"}),
        watcher_account(None, missing, {}),
    ]
    assert [account.name for account in chosen if account] == ["games", "bin", "daemon", "nobody"]


@root_only
def test_only_a_configured_user_keeps_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memberships of a login are left behind, and root's group always is."""
    monkeypatch.setattr(privileges.os, "getgrouplist", lambda _name, gid: [gid, 0, 4711])
    games = pwd.getpwnam("games")
    configured = watcher_account("games", tmp_path, {})
    by_sudo = watcher_account(None, tmp_path, {"SUDO_USER": "games"})
    assert configured is not None
    assert by_sudo is not None
    assert configured.groups == (games.pw_gid, 4711)
    assert by_sudo.groups == (games.pw_gid,)


@root_only
@pytest.mark.parametrize(("name", "message"), [("no-such-user", "no user"), ("root", "must not"), ("0", "must not")])
def test_unusable_accounts_are_refused(tmp_path: Path, name: str, message: str) -> None:
    """A user that does not exist, and root under any name, are errors that say what to do."""
    with pytest.raises(PrivilegeError, match=message):
        watcher_account(name, tmp_path, {})


def test_without_root_there_is_no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer that is not root cannot become anybody."""
    monkeypatch.setattr(privileges.os, "geteuid", lambda: 1000)
    assert watcher_account("games", tmp_path, {"SUDO_USER": "bin"}) is None


@root_only
def test_a_new_archive_is_made_and_handed_over(tmp_path: Path) -> None:
    """The folder and its parents are made; the folder is the watcher's and closed to others."""
    archive = tmp_path / "a/b"
    hand_over(archive, NOBODY)
    hand_over(archive, NOBODY)
    status = archive.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65534, 65534, 0o750)
    assert archive.parent.stat().st_uid == 0


@root_only
def test_an_empty_folder_of_root_changes_hands(tmp_path: Path) -> None:
    """`mkdir` before the first start is fine."""
    archive = tmp_path / "archive"
    archive.mkdir()
    hand_over(archive, NOBODY)
    assert archive.stat().st_uid == 65534


@root_only
@pytest.mark.parametrize("trouble", ["full", "sticky", "foreign"])
def test_what_is_not_ours_is_not_taken_over(tmp_path: Path, trouble: str) -> None:
    """A folder with files, one like /tmp, and somebody else's stay as they are."""
    archive = tmp_path / "archive"
    archive.mkdir()
    if trouble == "full":
        (archive / "file").touch()
    elif trouble == "sticky":
        archive.chmod(0o1777)
    else:
        os.chown(archive, SOMEBODY, SOMEBODY)
    before = archive.stat()
    with pytest.raises(PrivilegeError, match="user ="):
        hand_over(archive, NOBODY)
    assert (archive.stat().st_uid, archive.stat().st_mode) == (before.st_uid, before.st_mode)


@root_only
def test_a_link_is_not_followed_to_somebody_elses_folder(tmp_path: Path) -> None:
    """Only what is checked changes hands: a link leads to a check of its target."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").touch()
    (tmp_path / "archive").symlink_to(target)
    with pytest.raises(PrivilegeError):
        hand_over(tmp_path / "archive", NOBODY)
    assert target.stat().st_uid == 0


def test_an_archive_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file in the way gives one sentence."""
    (tmp_path / "file").touch()
    with pytest.raises(PrivilegeError, match="cannot be used"):
        hand_over(tmp_path / "file/archive", None)
    with pytest.raises(PrivilegeError, match="cannot be used"):
        hand_over(tmp_path / "file", NOBODY)


def test_groups_by_name_and_number() -> None:
    """A group is found by both, and a missing one is told."""
    assert group_id("root") == group_id("0") == 0
    with pytest.raises(PrivilegeError, match="no group"):
        group_id("no-such-group")


def test_rights_of_this_process_are_those_that_the_kernel_tells() -> None:
    """Names and masks agree with /proc, and a missing process is an error."""
    line = next(text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith("CapEff"))
    mine = rights()
    assert mine.effective == int(line.split()[1], 16)
    assert all(mine.has(name) for name in mine.names())
    assert len(CAPABILITIES) == int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        rights(1 << 30)
