"""Which processes are nodes: those that the configuration describes, or, without one, all with Bitcoin Core's tracepoints."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from peerwatch.sources.datadir import datadir_of
from peerwatch.sources.usdt.elf_notes import ElfError, read_notes
from peerwatch.sources.usdt.processes import (
    FileId,
    ProcessFacts,
    command_line,
    file_id,
    is_kernel_thread,
    path_of,
    process_ids,
    read_process,
)

NODE_PROBE = "net:inbound_message"
"""What makes an executable a node's."""

USUAL_BINARIES = ("bitcoind", "bitcoin-qt", "bitcoin-node", "bitcoin-gui")
"""Bitcoin Core's own names; what of them is installed is attached before it runs."""

INSTANCE_ARGUMENTS = ("datadir", "conf", "chain", "regtest", "testnet", "testnet4", "signet", "name")
"""Arguments that tell nodes of one user and binary apart. A data directory is locked, so it and the chain are enough; `name` is
what the tracepoint player has instead. Addresses (`bind`, `externalip`) are left out on purpose: no identity derives from one."""

CHAINS = ("regtest", "testnet4", "testnet", "signet")
PID_FILE_BYTES = 32
KERNEL_THREAD, NO_ARGUMENTS = -1, -2
"""In place of the hash of a command line (which Python never lets be -1; being -2 by chance costs a look)."""
MAX_FILES = 10_000
"""Executables remembered as having probes or not."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A configured node: its name, and rules that its process must all meet. At least one rule is needed."""

    name: str
    binary: str | None = None
    """Path of the executable; it is attached even before the node runs."""
    pid: int | None = None
    pid_file: str | None = None
    user: str | None = None
    """Name or number of the user that it runs as."""
    args: tuple[str, ...] = ()
    """Arguments that must be there: `-datadir=/srv/a`; `--name=x` also matches `--name x`."""
    datadir: str | None = None
    """Its data directory, whether that is an argument or the usual one."""

    def __post_init__(self) -> None:
        """Refuse a node that any process would be.

        Raises:
            ValueError: no rule.
        """
        if not (self.binary or self.pid or self.pid_file or self.user or self.args or self.datadir):
            raise ValueError(f"node {self.name}: say how to find it (datadir, binary, args, pid, pid_file or user)")

    def matches(self, facts: ProcessFacts) -> bool:
        """Whether a process meets every rule."""
        return (
            (self.pid is None or facts.pid == self.pid)
            and (self.binary is None or _runs(facts, self.binary))
            and (self.user is None or facts.uid == _uid(self.user))
            and (self.pid_file is None or facts.pid == _pid_in(self.pid_file))
            and _given(facts.args).issuperset(self.args)
            and (self.datadir is None or _keeps(facts, self.datadir))
        )

    @property
    def rules(self) -> int:
        """How closely it is described."""
        rules = (self.binary, self.pid, self.pid_file, self.user, self.datadir)
        return sum(rule is not None for rule in rules) + len(self.args)


def described(wanted: Sequence[Wanted], facts: ProcessFacts) -> Wanted | None:
    """The configured node that a process is: of those that it fits, the one with the most rules, or the first of them."""
    return max((node for node in wanted if node.matches(facts)), key=lambda node: node.rules, default=None)


def _given(args: tuple[str, ...]) -> set[str]:
    """Arguments as they stand, and those with a value apart from its name also as `name=value`."""
    joined = {f"{name}={value}" for name, value in pairwise(args[1:]) if name.startswith("-")}
    return joined.union(args[1:])


def _runs(facts: ProcessFacts, binary: str) -> bool:
    if facts.binary is None:  # closed to us: the name by which it was called has to do
        return bool(facts.args) and os.path.basename(facts.args[0]) == os.path.basename(binary)  # noqa: PTH119 - not UTF-8
    if os.path.realpath(binary) == os.path.realpath(facts.binary):
        return True
    return facts.file is not None and facts.file == file_id(binary)


def _keeps(facts: ProcessFacts, datadir: str) -> bool:
    used = datadir_of(facts.args, home_of(facts.uid))
    return used is not None and os.path.realpath(used) == os.path.realpath(datadir)


def home_of(uid: int) -> Path:
    """Home of a user; of one that is not known, a folder that there is not."""
    try:
        return Path(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        return Path("/nonexistent")


def _uid(user: str) -> int | None:
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _pid_in(path: str) -> int | None:
    try:
        with Path(path).open("rb") as file:
            return int(file.read(PID_FILE_BYTES))
    except (OSError, ValueError):
        return None


def _instance(args: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for at, argument in enumerate(args[1:], start=2):
        name, given, value = argument.partition("=")
        stripped = name.lstrip("-")
        if name.startswith("-") and stripped in INSTANCE_ARGUMENTS:
            following = args[at] if at < len(args) and not args[at].startswith("-") else ""
            yield stripped, value if given else following


def node_key(facts: ProcessFacts, twin: int = 0) -> str:
    """What stays the same when a node that was found is restarted: a digest of its binary, telling arguments and user.

    `twin` numbers nodes that are alike in all of these (in containers of one image, say).
    """
    identity = [facts.binary or "", sorted(_instance(facts.args)), facts.uid, twin]
    text = json.dumps(identity, ensure_ascii=True).encode("ascii")
    return hashlib.blake2b(text, digest_size=16, person=b"peerwatch node").hexdigest()


def chain_of(args: tuple[str, ...]) -> str | None:
    """The chain, where the arguments tell (it may stand in the node's own configuration instead): a value of `node.chain`."""
    given = dict(_instance(args))
    chain = given.get("chain") or next((name for name in CHAINS if given.get(name, "0") != "0"), None)
    chain = {"testnet": "test", "testnet3": "test"}.get(chain or "", chain)
    return chain if chain in ("main", "test", "testnet4", "signet", "regtest") else None


class Probed:
    """Tells executables with a node's probes from others; every file is read once."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known: dict[FileId, bool] = {}

    def __call__(self, path: str) -> bool:
        """Whether the file at `path` has `NODE_PROBE`; False for what cannot be read, too."""
        found = file_id(path)
        if found is None:
            return False
        if found not in self._known:
            if len(self._known) >= MAX_FILES:
                self._known.clear()
            self._known[found] = _has_probe(path)
        return self._known[found]


def _has_probe(path: str) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return any(note.full_name == NODE_PROBE for note in read_notes(handle))
    except (ElfError, OSError):
        return False
    finally:
        os.close(handle)


def usual_binaries() -> list[str]:
    """Bitcoin Core's executables that are installed where commands are looked for, or beside them in `libexec` (from v30)."""
    found = []
    for name in USUAL_BINARIES:
        path = shutil.which(name)
        beside = Path(path or shutil.which("bitcoin") or "/usr/bin/bitcoin").parent.parent / "libexec" / name
        found += [str(p.resolve()) for p in (Path(path) if path else None, beside) if p is not None and p.is_file()]
    return sorted(set(found))


@dataclass(frozen=True, slots=True)
class Found:
    """A process that is a node, and a path to its executable."""

    facts: ProcessFacts
    path: str


class Scanner:
    """Goes through the processes of this machine, and looks closer at those that are new or have become another program."""

    def __init__(self, wanted: Sequence[Wanted], probed: Callable[[str], bool] | None = None) -> None:
        """`wanted`: configured nodes; none means every process that has a node's probes."""
        self.wanted = tuple(wanted)
        self._probed = probed or Probed()
        self._seen: dict[int, int] = {}
        self._pid_files: dict[str, int | None] = {}

    def scan(self) -> list[Found]:
        """Nodes that have come since the last scan."""
        for path in {wanted.pid_file for wanted in self.wanted if wanted.pid_file}:
            pid = _pid_in(path)
            if pid is not None and pid != self._pid_files.get(path):
                self._seen.pop(pid, None)  # it was there before the file that describes it
            self._pid_files[path] = pid
        found = []
        pids = process_ids()
        for pid in pids:
            # A shell becomes a node without a new id; its command line changes then. Threads of the kernel have none for good.
            before = self._seen.get(pid)
            if before == KERNEL_THREAD:
                continue
            line = command_line(pid)
            now = hash(line) if line else KERNEL_THREAD if is_kernel_thread(pid) else NO_ARGUMENTS
            self._seen[pid] = now
            if line and now != before and (node := self._look(pid)):
                found.append(node)
        for pid in self._seen.keys() - set(pids):
            del self._seen[pid]
        return found

    def again(self) -> None:
        """Look at every process in the next scan as if it were new."""
        self._seen.clear()

    def _look(self, pid: int) -> Found | None:
        facts = read_process(pid)
        if facts is None:
            return None
        node = described(self.wanted, facts)
        if self.wanted and node is None:
            return None
        path = path_of(facts) or (node.binary if node else None)
        return Found(facts, path) if path and self._probed(path) else None
