"""Tracer and watcher as the two processes that they are: started, killed, stopped, and without rights."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from peerwatch.sources.usdt.discover import Wanted
from peerwatch.sources.usdt.kernel import OBJECT, UPROBE_MULTI, Kernel
from peerwatch.sources.usdt.link import Hello, Link, LinkClosedError, Process, Recorded
from peerwatch.sources.usdt.privileges import CAPABILITIES, Account, fork, namespaces_allowed, rights
from peerwatch.sources.usdt.ring import Ring
from peerwatch.sources.usdt.seccomp import REFUSED
from peerwatch.sources.usdt.supervise import REFUSED as REFUSED_STATUS
from peerwatch.sources.usdt.supervise import serve, supervise, watch
from peerwatch.sources.usdt.tracer import Tracer

pytestmark = pytest.mark.kernel

PATIENCE_S = 60.0
NOBODY = Account("nobody", 65534, 65534, (65534,))
SOMEBODY, NODE_USER = 30150, 30151
SLOWLY = ("--load", "forever", "--rate", "200", "--no-connections", "--peers", "1")


def tell(**what: Any) -> None:
    """From a watcher: one line to whoever reads its output."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Program:
    """A process that runs something, and the lines that it and its children print."""

    def __init__(self, body: Callable[[], int]) -> None:
        """Start it."""
        reading, writing = os.pipe()
        self.pid = fork()
        if self.pid == 0:
            status = 99
            try:
                os.dup2(writing, 1)
                os.dup2(writing, 2)
                sys.stdout = sys.stderr = os.fdopen(1, "w")
                status = body()
            finally:
                sys.stdout.flush()
                os._exit(status)
        os.close(writing)
        self._out = os.fdopen(reading, "rb", buffering=0)
        self._text = b""
        self.lines: list[dict[str, Any]] = []
        self.status: int | None = None

    def until(self, condition: Callable[[], Any]) -> Any:
        """Take in lines until a condition is true; what it is."""
        deadline = time.monotonic() + PATIENCE_S
        while not (result := condition()):
            assert time.monotonic() < deadline, (self.lines, self._text)
            if select.select([self._out], [], [], 0.01)[0]:
                self._text += self._out.read(65536)
                *whole, self._text = self._text.split(b"\n")
                self.lines += [json.loads(line) for line in whole]
        return result

    def of(self, what: str) -> list[Any]:
        """What was told under a name, in order."""
        return [line[what] for line in self.lines if what in line]

    def wait(self) -> int:
        """Its exit status, or the negative signal, once it has ended."""

        def ended() -> bool:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            return self.status is not None

        if self.status is None:
            self.until(ended)
        assert self.status is not None
        return self.status

    def close(self) -> None:
        """Leave nothing behind: the watchers end with their tracer."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self._out.close()


@pytest.fixture
def program() -> Iterator[Callable[[Callable[[], int]], Program]]:
    """Runs something in a process of its own."""
    started: list[Program] = []

    def start(body: Callable[[], int]) -> Program:
        started.append(Program(body))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can look into; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def tracer_for(*wanted: Wanted, bpf_object: Path = OBJECT) -> Tracer:
    return Tracer(Kernel.load(bpf_object, ring_bytes=4 << 20), wanted, lambda line: tell(said=line))


def run_watcher(link: Link) -> int:
    """Tells what it is, reads and records until it is asked to stop, and returns 3."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    hello = link.receive(10)
    assert isinstance(hello, Hello)
    ring = Ring(link.descriptors.ring, hello.ring_bytes)
    tell(pid=os.getpid(), hello=[hello.starts, hello.barren, hello.last_end], rights=asdict(rights()), uid=os.getresuid())
    count = 0
    while not stop:
        try:
            fact = link.receive(0.01)
        except LinkClosedError:  # the tracer is gone; what is in the ring can still be saved
            break
        if isinstance(fact, Process):
            tell(node=fact.node, tgid=fact.tgid, slot=fact.slot, binary=fact.binary)
        _, offsets, position = ring.read(1 << 20)
        ring.publish(position)
        if len(offsets):
            with contextlib.suppress(LinkClosedError):
                link.send(Recorded(0))
            if not count:
                tell(reads=True)
            count += len(offsets)
    tell(saved=count)
    return 3


def supervised(binary: Path, watcher: Callable[[Link], int] = run_watcher, account: Account | None = NOBODY) -> Callable[[], int]:
    return lambda: supervise(watcher, tracer_for(Wanted("alice", binary=str(binary))), account, stop_s=5)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


NO_RIGHTS = {
    **dict.fromkeys(("inheritable", "permitted", "effective", "bounding", "ambient"), 0),
    "no_new_privs": True,
    "filtered": True,
}


def test_the_watcher_has_no_rights_and_sees_everything(program: Callable[..., Program], players: Any) -> None:
    """As root: another user, no capability in any set, and yet every record; SIGTERM ends both after it has saved."""
    path = players.copy()
    started = program(supervised(path))
    started.until(lambda: started.of("pid"))
    report = players.run(path, "--load", "200", "--rate", "400", "--no-connections", "--peers", "1")
    started.until(lambda: started.of("reads"))
    time.sleep(0.2)
    os.kill(started.pid, signal.SIGTERM)
    assert started.wait() == 3
    assert started.of("rights") == [NO_RIGHTS]
    assert started.of("uid") == [[65534] * 3]
    assert started.of("node")[-1] == "alice"
    assert started.of("saved") == [sum(report["fired"].values()) + 1]
    assert gone(started.of("pid")[0])


def test_a_killed_watcher_is_started_again(program: Callable[..., Program], players: Any) -> None:
    """Kill -9, ten times while records come: each time another takes over at once, and is told how the last one ended."""
    path = players.copy()
    started = program(supervised(path))
    players.start(path, *SLOWLY)
    pauses = []
    for number in range(10):
        started.until(lambda number=number: len(started.of("reads")) > number)
        time.sleep(0.05)
        killed = time.monotonic()
        os.kill(started.of("pid")[-1], signal.SIGKILL)
        started.until(lambda number=number: len(started.of("pid")) > number + 1)
        pauses.append(time.monotonic() - killed)
    assert started.of("hello")[0] == [0, 0, ""]
    assert started.of("hello")[1:] == [[number, 0, "signal 9"] for number in range(1, 11)]
    assert sorted(pauses)[5] < 1
    restarts = [line for line in started.of("said") if "ended by" in line]
    assert restarts == ["the watcher was ended by signal 9 and is started again"] * 10
    os.kill(started.pid, signal.SIGINT)
    assert started.wait() == 3


def test_a_watcher_that_dies_at_once_is_started_more_and_more_slowly(program: Callable[..., Program], players: Any) -> None:
    """An exception is printed and counted; the pauses double, and the tracer can be stopped meanwhile."""

    def fails(link: Link) -> int:
        hello = link.receive(10)
        assert isinstance(hello, Hello)
        tell(at=time.monotonic(), barren=hello.barren, last_end=hello.last_end)
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - the traceback is no JSON
        raise ValueError

    started = program(supervised(players.copy(), fails))
    started.until(lambda: len(started.of("at")) == 5)
    times = started.of("at")
    pauses = [after - before for before, after in pairwise(times)]
    assert started.of("barren") == [0, 1, 2, 3, 4]
    assert started.of("last_end") == ["", *["an error"] * 4]
    assert all(pause >= 0.1 * 2**number for number, pause in enumerate(pauses))
    started.until(lambda: len([line for line in started.of("said") if "again in" in line]) == 5)
    began = time.monotonic()
    os.kill(started.pid, signal.SIGTERM)
    assert started.wait() == 0
    assert time.monotonic() - began < 10


def test_a_watcher_that_returns_ends_it(program: Callable[..., Program], players: Any) -> None:
    """Returning is deliberate: the status is that of the whole, and nothing is started again."""
    started = program(supervised(players.copy(), lambda _link: 7))
    assert started.wait() == 7
    leaving = program(supervised(players.copy(name="other"), lambda _link: sys.exit(4)))
    assert leaving.wait() == 4


def test_a_watcher_that_cannot_drop_its_rights_never_runs(program: Callable[..., Program], players: Any) -> None:
    """Nothing from the network is looked at by a process that has rights left."""

    def never(_link: Link) -> int:
        tell(ran=True)
        return 0

    started = program(supervised(players.copy(), never, Account("root", 0, 0)))
    assert started.wait() == REFUSED_STATUS
    assert started.of("ran") == []
    assert any("must not run as root" in line for line in started.of("said"))


@pytest.mark.parametrize("second", [False, True], ids=["time", "second signal"])
def test_a_watcher_that_does_not_stop_is_ended(program: Callable[..., Program], players: Any, second: bool) -> None:  # noqa: FBT001 - a table
    """After the time it has for saving, or when asked a second time."""

    def stubborn(link: Link) -> int:
        signal.signal(signal.SIGTERM, lambda *_: tell(asked=True))
        tell(pid=os.getpid())
        while True:
            link.receive(1)

    tracer = Wanted("alice", binary=str(players.copy()))
    started = program(lambda: supervise(stubborn, tracer_for(tracer), NOBODY, stop_s=60 if second else 0.5))
    started.until(lambda: started.of("pid"))
    os.kill(started.pid, signal.SIGTERM)
    started.until(lambda: started.of("asked"))
    if second:
        time.sleep(1.5)  # sooner, it would be the same wish
        os.kill(started.pid, signal.SIGINT)
    assert started.wait() == 128 + signal.SIGKILL
    assert gone(started.of("pid")[0])


def test_the_watcher_ends_with_the_tracer(program: Callable[..., Program], players: Any) -> None:
    """Kill -9 of the tracer: its watcher is asked to stop, saves, and is gone."""
    path = players.copy()
    started = program(supervised(path))
    players.start(path, *SLOWLY)
    started.until(lambda: started.of("reads"))
    os.kill(started.pid, signal.SIGKILL)
    started.until(lambda: started.of("saved"))
    started.until(lambda: gone(started.of("pid")[0]))


def test_the_watcher_inherits_nothing_else(program: Callable[..., Program], players: Any) -> None:
    """Only the link, no terminal input, no controlling terminal, and private files."""

    def looks(_link: Link) -> int:
        # /proc/self/fd is closed to a process that cannot be debugged, so they are tried.
        held = []
        for number in range(256):
            try:
                os.fstat(number)
            except OSError:
                continue
            held.append(number)
        tell(held=len(held), leader=os.getsid(0) == os.getpid(), read=os.read(0, 1).decode(), mask=os.umask(0))
        return 0

    secret = os.open("/etc/shadow", os.O_RDONLY)
    started = program(supervised(players.copy(), looks))
    assert started.wait() == 0
    os.close(secret)
    line = next(line for line in started.lines if "held" in line)
    assert line == {"held": 4, "leader": True, "read": "", "mask": 0o027}


def refusals(link: Link) -> dict[str, str]:
    """What happens to a watcher that wants more than it has."""
    hello = link.receive(10)
    assert isinstance(hello, Hello)
    maps = link.descriptors
    libc = ctypes.CDLL(None, use_errno=True)
    page = mmap.PAGESIZE

    def bpf(command: int, attributes: bytes) -> None:
        buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
        if libc.syscall(REFUSED["bpf"], command, buffer, 128) < 0:
            raise OSError(ctypes.get_errno(), "bpf")

    attempts = {
        "MAP_CREATE": lambda: bpf(0, struct.pack("<4I", 2, 4, 8, 1)),
        "PROG_LOAD": lambda: bpf(5, struct.pack("<2I", 1, 2)),
        "MAP_UPDATE slots": lambda: bpf(2, struct.pack("<I4xQQQ", maps.slots, 0, 0, 0)),
        "MAP_LOOKUP slots": lambda: bpf(1, struct.pack("<I4xQQ", maps.slots, 0, 0)),
        "map ring data": lambda: mmap.mmap(maps.ring, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=2 * page),
        "map producer": lambda: mmap.mmap(maps.ring, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=page),
        "map slots": lambda: mmap.mmap(maps.slots, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
        "execve": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - that it fails is the point
        "setuid": lambda: os.setuid(0),
        "kill the tracer": lambda: os.kill(os.getppid(), signal.SIGTERM),
        "signal the node": lambda: os.kill(1, 0),
    }
    answers = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            answers[name] = "allowed"
        except OSError as error:
            answers[name] = errno.errorcode.get(error.errno or 0, "?")
    return answers


def test_the_watcher_can_do_nothing_else(program: Callable[..., Program], players: Any) -> None:
    """It cannot load, create, look up, write ring data or slots, run a program, or signal anybody."""

    def tries(link: Link) -> int:
        tell(answers=refusals(link))
        return 0

    started = program(supervised(players.copy(), tries))
    assert started.wait() == 0
    answers = started.of("answers")[0]
    assert set(answers.values()) <= {"EPERM", "EACCES"}, answers
    assert len(answers) == 11


def limited(body: Callable[[], int]) -> Callable[[], int]:
    """Run something as another user with CAP_BPF and CAP_PERFMON alone, as a service unit has it."""

    def inside() -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        mask = sum(1 << CAPABILITIES.index(name) for name in ("bpf", "perfmon"))
        for number in range(len(CAPABILITIES)):
            if not mask >> number & 1:
                libc.prctl(24, number, 0, 0, 0)  # PR_CAPBSET_DROP
        libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
        os.setgroups([])
        os.setresgid(SOMEBODY, SOMEBODY, SOMEBODY)
        os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
        sets = struct.pack("=6I", 0, 0, 0, mask >> 32, mask >> 32, 0)
        assert libc.capset(struct.pack("=Ii", 0x20080522, 0), sets) == 0
        return body()

    return inside


@pytest.fixture
def needs_multi(load: Callable[..., Kernel]) -> None:
    """Two capabilities are enough from Linux 6.6 on."""
    if load(4096).attach_method != UPROBE_MULTI:
        pytest.skip("multi-uprobe links came with Linux 6.6")


@pytest.mark.usefixtures("needs_multi")
def test_two_capabilities_are_enough_for_everything(program: Callable[..., Program], players: Any, open_folder: Path) -> None:
    """As another user than the node's: found, traced, restarted after kill -9, and the watcher's sets are all empty."""
    path = Path(shutil.copy2(players.copy(), open_folder))
    code = Path(shutil.copy2(OBJECT, open_folder))
    wanted = Wanted("alice", binary=str(path), user=str(NODE_USER), args=("--name=alice",))
    started = program(limited(lambda: supervise(run_watcher, tracer_for(wanted, bpf_object=code), None, stop_s=5)))
    started.until(lambda: started.of("pid"))
    foreign = players.start(path, *SLOWLY, "--name", "mallory", user=NODE_USER)
    node = players.start(path, *SLOWLY, "--name", "alice", user=NODE_USER)
    started.until(lambda: "alice" in started.of("node"))
    started.until(lambda: started.of("reads"))
    os.kill(started.of("pid")[0], signal.SIGKILL)
    started.until(lambda: len(started.of("reads")) == 2)
    os.kill(started.pid, signal.SIGTERM)
    assert started.wait() == 3
    told = {line["tgid"]: line for line in started.lines if "tgid" in line}
    assert told[node.pid]["node"] == "alice"
    assert told[node.pid]["binary"] == str(path)
    assert told.get(foreign.pid, {"node": None})["node"] is None
    empty = NO_RIGHTS if program(limited(lambda: 0 if namespaces_allowed() else 1)).wait() == 0 else None
    assert all(left == (empty or {**NO_RIGHTS, "bounding": left["bounding"]}) for left in started.of("rights"))
    assert started.of("uid") == [[SOMEBODY] * 3] * 2


@pytest.mark.usefixtures("needs_multi")
def test_with_two_capabilities_the_watcher_can_do_nothing_else(
    program: Callable[..., Program], players: Any, open_folder: Path
) -> None:
    """The same refusals as under root; it may signal its own user's processes, as any program may."""

    def tries(link: Link) -> int:
        tell(answers=refusals(link))
        return 0

    path = Path(shutil.copy2(players.copy(), open_folder))
    code = Path(shutil.copy2(OBJECT, open_folder))
    wanted = Wanted("alice", binary=str(path))
    started = program(limited(lambda: supervise(tries, tracer_for(wanted, bpf_object=code), None, stop_s=5)))
    started.until(lambda: started.of("answers"))
    answers = started.of("answers")[0]
    answers.pop("kill the tracer")
    assert set(answers.values()) <= {"EPERM", "EACCES", "EINVAL"}, answers
    assert answers["setuid"] in ("EPERM", "EINVAL")


def test_two_units_work_like_one_command(program: Callable[..., Program], players: Any, open_folder: Path) -> None:
    """A tracer that serves a socket, and watchers that connect, are killed, and come again; a second one is turned away."""
    path = players.copy()
    folder = open_folder / "run"
    folder.mkdir(mode=0o750)
    sock = folder / "tracer.sock"
    tracer = program(lambda: serve(tracer_for(Wanted("alice", binary=str(path))), sock))
    tracer.until(sock.exists)
    players.start(path, *SLOWLY)

    def watcher() -> int:
        return watch(run_watcher, sock, NOBODY, lambda line: tell(said=line))

    first = program(watcher)
    first.until(lambda: first.of("reads"))
    assert first.of("rights") == [NO_RIGHTS]

    def turned_away(link: Link) -> int:
        try:
            link.receive(10)
        except LinkClosedError:
            return 42
        return 1

    assert program(lambda: watch(turned_away, sock, NOBODY)).wait() == 42
    tracer.until(lambda: "a second watcher was turned away" in tracer.of("said"))
    os.kill(first.of("pid")[0], signal.SIGKILL)
    assert first.wait() == 128 + signal.SIGKILL
    second = program(watcher)
    second.until(lambda: second.of("reads"))
    assert second.of("hello")[0][0] == 1
    os.kill(second.pid, signal.SIGTERM)
    assert second.wait() == 3
    os.kill(tracer.pid, signal.SIGTERM)
    assert tracer.wait() == 0
    assert not sock.exists()


def test_a_terminal_cannot_interrupt_the_watcher(players: Any, program: Callable[..., Program]) -> None:
    """Ctrl-C goes to everybody in the tracer's group; the watcher is in none of its, and is asked once."""
    path = players.copy()

    def body() -> int:
        os.setpgid(0, 0)
        return supervised(path)()

    started = program(body)
    started.until(lambda: started.of("pid"))
    os.killpg(started.pid, signal.SIGINT)
    assert started.wait() == 3
    assert started.of("saved") == [0]


def test_handlers_are_put_back(program: Callable[..., Program], players: Any) -> None:
    """After it has ended, signals do what they did before."""

    def body() -> int:
        mine = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        status = supervised(players.copy(), lambda _link: 0)()
        tell(same=signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, before=str(mine))
        return status

    started = program(body)
    assert started.wait() == 0
    assert started.of("same") == [True]


def test_the_player_is_not_disturbed(program: Callable[..., Program], players: Any) -> None:
    """A node goes on when tracer and watcher are killed."""
    path = players.copy()
    started = program(supervised(path))
    process: subprocess.Popen[str] = players.start(path, "--load", "400", "--rate", "200")
    started.until(lambda: started.of("reads"))
    os.kill(started.pid, signal.SIGKILL)
    report = players.report(process)
    assert sum(report["fired"].values()) >= 400
