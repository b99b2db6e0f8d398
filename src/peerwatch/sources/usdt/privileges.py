"""Giving up rights: who the watcher becomes, and how it gets there without a way back.

Bytes from the network are only ever looked at by a process that has been through `drop`.
"""

from __future__ import annotations

import ctypes
import errno
import grp
import os
import pwd
import stat
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from peerwatch.sources.usdt.seccomp import refuse_calls

CAPABILITIES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
    "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
    "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
    "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend",
    "audit_read", "perfmon", "bpf", "checkpoint_restore",
)  # fmt: skip
"""Capabilities by number (capabilities(7))."""

PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CAPABILITY_VERSION_3 = 0x20080522


class PrivilegeError(Exception):
    """Rights could not be given up, or the archive could not be handed over; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the watcher runs as."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    """Supplementary groups, for what it reads by group membership."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What /proc/PID/status says about the rights of a process; the sets are bit masks."""

    inheritable: int
    permitted: int
    effective: int
    bounding: int
    ambient: int
    no_new_privs: bool
    filtered: bool

    def has(self, name: str) -> bool:
        """Whether a capability is in effect; `name` as in `CAPABILITIES`."""
        return bool(self.effective >> CAPABILITIES.index(name) & 1)

    def names(self) -> tuple[str, ...]:
        """The capabilities in effect, by name."""
        return tuple(name for number, name in enumerate(CAPABILITIES) if self.effective >> number & 1)


def rights(pid: int | str = "self") -> Rights:
    """The rights of a process.

    Raises:
        OSError: there is no such process.
    """
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    inheritable, permitted, effective, bounding, ambient = (
        int(fields[f"Cap{n}"], 16) for n in ("Inh", "Prm", "Eff", "Bnd", "Amb")
    )
    no_new_privs, filtered = fields["NoNewPrivs"] == "1", fields["Seccomp"] == "2"
    return Rights(inheritable, permitted, effective, bounding, ambient, no_new_privs, filtered)


def watcher_account(configured: str | None, archive: Path, environ: Mapping[str, str]) -> Account | None:
    """Whom the watcher runs as: the configured user, else who called sudo, else the archive's owner, else `nobody`.

    Only a configured user keeps its supplementary groups: those of somebody's login (docker, disk, …) are often as good as root.

    Returns:
        None when this process is not root: then the watcher stays who it is.

    Raises:
        PrivilegeError: the user does not exist, or is root.
    """
    if os.geteuid() != 0:
        return None
    owner = str(archive.stat().st_uid) if archive.is_dir() else "0"
    others = (name for name in (environ.get("SUDO_USER", "root"), owner) if name not in ("root", "0"))
    name = configured or next(others, "nobody")
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        raise PrivilegeError(f"there is no user {name!r}: create it, or name another with `user =`") from None
    if entry.pw_uid == 0:
        raise PrivilegeError("the watcher must not run as root: name another user with `user =`")
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid) if configured else [entry.pw_gid]
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, tuple(group for group in groups if group != 0))


def hand_over(archive: Path, account: Account | None) -> None:
    """Make the archive's directory where there is none, and give it to the watcher's user.

    An existing directory changes hands only when it is empty and root's own (so `/tmp` or somebody's home never does).

    Raises:
        PrivilegeError: it cannot be made, or belongs to somebody else.
    """
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        try:
            archive.mkdir(mode=0o750)
        except FileExistsError:
            fresh = False
        else:
            fresh = True
        if account is None:
            return
        # Through a descriptor, so that what is checked is what changes hands.
        handle = os.open(archive, os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if fresh else 0))
        try:
            _give(handle, archive, account, fresh=fresh)
        finally:
            os.close(handle)
    except OSError as error:
        raise PrivilegeError(f"the archive {archive} cannot be used: {error.strerror}") from error


def _give(handle: int, archive: Path, account: Account, *, fresh: bool) -> None:
    status = os.fstat(handle)
    if status.st_uid == account.uid:
        return
    plain = not status.st_mode & (stat.S_ISVTX | stat.S_IWOTH) and not os.listdir(handle)
    if status.st_uid != 0 or not (fresh or plain):
        owner = _name(status.st_uid)
        raise PrivilegeError(
            f"the archive {archive} belongs to {owner} and the watcher runs as {account.name}: "
            f"set `user =`, or hand it over with `chown -R {account.name} {archive}`"
        )
    os.fchown(handle, account.uid, account.gid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_id(name: str) -> int:
    """Number of a group given by name or number.

    Raises:
        PrivilegeError: there is no such group.
    """
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise PrivilegeError(f"there is no group {name!r}") from None


def drop(account: Account | None) -> tuple[str, ...]:
    """Give up every right for good: groups, user, capabilities (bounding set, too), new privileges, and dangerous system calls.

    Without an account the user stays, and the bounding set is emptied inside of a user namespace of its own. The caller must
    have one thread only, because capabilities belong to threads, and must have opened and imported all that it needs.

    Returns:
        What could not be done, a sentence each; the process is without capabilities all the same.

    Raises:
        PrivilegeError: rights are left that must not be. Exit then.
    """
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise PrivilegeError("rights must be dropped before a second thread is started")
    if 0 in (account.uid if account else os.geteuid(), account.gid if account else 1):
        raise PrivilegeError("the watcher must not run as root: name another user with `user =`")
    lacking: list[str | None] = []
    if account is None:
        lacking.append(_own_namespace())
    else:
        lacking.append(_empty_bounding_set())
        try:
            os.setgroups(account.groups)
            os.setresgid(account.gid, account.gid, account.gid)
            os.setresuid(account.uid, account.uid, account.uid)
        except OSError as error:
            raise PrivilegeError(f"cannot become {account.name}: {error.strerror}") from error
    _clear_capabilities()  # ambient ones go with the permitted
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_DUMPABLE, 0)  # nobody's debugger, no core file with what peers sent
    lacking.append(refuse_calls())
    _verify(account)
    return tuple(sentence for sentence in lacking if sentence)


def _verify(account: Account | None) -> None:
    left = rights()
    if left.permitted | left.effective | left.inheritable | left.ambient or not left.no_new_privs:
        raise PrivilegeError(f"rights are left after dropping them: {left}")
    if account is not None and (os.getresuid() != (account.uid,) * 3 or os.getresgid() != (account.gid,) * 3):
        raise PrivilegeError(f"this process has not become {account.name}")


def fork() -> int:
    """`os.fork` without Python 3.12's warning beside other threads: ours are idle workers of libraries that handle a fork."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def namespaces_allowed() -> bool:
    """Whether this user can empty its bounding set in a user namespace of its own; tried in a child.

    Some systems let a process in, but not map itself or use its new capabilities, and there is no way back.
    """
    child = fork()
    if child == 0:
        status = 1
        try:
            status = 1 if _enter_namespace() or _empty_bounding_set() else 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _own_namespace() -> str | None:
    """Empty the bounding set in a new user namespace, which is the only place where one without CAP_SETPCAP can."""
    if rights().bounding == 0:
        return None
    if namespaces_allowed():
        return _enter_namespace() or _empty_bounding_set()
    return "The bounding set is not empty: user namespaces are not allowed here. It gives no rights, because of no_new_privs."


def _enter_namespace() -> str | None:
    uid, gid = os.geteuid(), os.getegid()
    _prctl(PR_SET_DUMPABLE, 1)  # else the files below belong to root
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        return f"A user namespace was refused: {os.strerror(ctypes.get_errno())}."
    for name, content in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path(f"/proc/self/{name}").write_bytes(
            content.encode()
        )  # as bytes: a codec would have to be imported, which may fail by now
    return None


def _empty_bounding_set() -> str | None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_bytes())
    for number in range(last + 1):
        try:
            _prctl(PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            return "The bounding set is not empty: that takes CAP_SETPCAP. It gives no rights, because of no_new_privs."
    return None


def _clear_capabilities() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITY_VERSION_3, 0))
    nothing = ctypes.create_string_buffer(24)
    if libc.capset(header, nothing) != 0:
        raise PrivilegeError(f"capabilities cannot be cleared: {os.strerror(ctypes.get_errno())}")


def _prctl(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_ulong(word) for word in (argument, 0, 0, 0))
    if libc.prctl(option, *words) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
