"""A real node: started, asked, killed and started again, on loopback only, and gone when its test is over.

Which program it is: `tools/install_node.py` (Debian's Bitcoin Knots in a folder of its own), or what PEERWATCH_BITCOIND names.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

WAIT_S = 30.0
LOOPBACK = "127.0.0.1"
NOBODY = 65534
PREFIX = "peerwatch-test-"

LONELY = (
    "-connect=0",
    "-dnsseed=0",
    "-fixedseeds=0",
    "-discover=0",
    "-natpmp=0",
    "-listenonion=0",
    "-i2pacceptincoming=0",
)
"""What keeps a node from ever dialling anybody by itself, or telling anybody where it is."""

CATEGORIES = ("net", "addrman", "mempoolrej", "validation", "cmpctblock", "bench", "i2p", "tor")


class RpcError(Exception):
    """The node refused a call; `code` is its own."""

    def __init__(self, code: int, message: str) -> None:
        """Keep both."""
        super().__init__(f"{code}: {message}")
        self.code = code


def wait_for(holds: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
    """The first true value of `holds`, asked twenty times a second.

    Raises:
        AssertionError: there is none within `seconds`.
    """
    end = time.monotonic() + seconds
    while not (value := holds()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.05)
    return value


def at_rest(holds: Callable[[], None], seconds: float = WAIT_S) -> None:
    """Let something be asserted again and again until it holds: a node may say or count something at any time.

    Raises:
        AssertionError: it did not hold within `seconds`; the last one.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return holds()
        except AssertionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        return int(sock.getsockname()[1])


def through(peer: Mapping[str, Any]) -> bool:
    """Whether a peer (of `getpeerinfo`) is through the handshake: it has said `verack`."""
    return "verack" in peer["bytesrecv_per_msg"] and "verack" in peer["bytessent_per_msg"]


@dataclass(frozen=True)
class Program:
    """A bitcoind: on its own, or inside of a root folder with all that it needs."""

    binary: Path
    """As we see it."""
    root: Path | None = None

    def command(self) -> list[str]:
        """How to run it: it dies with us, and has no rights where a root folder makes us need some to start it."""
        fatal = ["setpriv", "--pdeathsig", "KILL"]
        if self.root is None:
            return [*fatal, str(self.binary)]
        return ["chroot", f"--userspec={NOBODY}:{NOBODY}", str(self.root), *fatal, self.binary.name]

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder that the node can reach; removed with what is in it."""
        base = None
        if self.root is not None:
            self._same_paths(self.root)
            base = self.root / "data"
            base.mkdir(exist_ok=True)
            remove_orphans(base)
        made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base))
        made.chmod(0o755)
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    @staticmethod
    def _same_paths(root: Path) -> None:
        """Let the path of the root folder lead to itself inside of it: a path that the node is given is then ours, too."""
        loop = root / root.relative_to("/")
        loop.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            loop.symlink_to("/")


def remove_orphans(base: Path) -> None:
    """Remove folders of test runs that were killed; their names are ours and begin with a process id."""
    for folder in base.glob(f"{PREFIX}[0-9]*-*"):
        if not Path("/proc", folder.name.removeprefix(PREFIX).partition("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Node:
    """One node of the regression test network. It is a context manager: started when entered, gone when left."""

    program: Program
    datadir: Path
    extra: Sequence[str] = ()
    """Arguments besides those that all nodes have."""
    port: int = field(default_factory=free_port)
    rpc_port: int = field(default_factory=free_port)
    friend_port: int = field(default_factory=free_port)
    """Who connects there is trusted with transactions at once, not after seconds (permission noban)."""
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def netdir(self) -> Path:
        """Where it keeps its files."""
        return self.datadir / "regtest"

    @property
    def log(self) -> Path:
        """Its `debug.log`."""
        return self.netdir / "debug.log"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    @property
    def address(self) -> str:
        """Where it accepts connections."""
        return f"{LOOPBACK}:{self.port}"

    def arguments(self) -> list[str]:
        """Its command line, without the program."""
        return [
            "-regtest",
            f"-datadir={self.datadir}",
            *LONELY,
            "-listen=1",
            f"-bind={self.address}",
            f"-whitebind=noban@{LOOPBACK}:{self.friend_port}",
            f"-whitelist=noban,out@{LOOPBACK}",
            f"-port={self.port}",
            f"-rpcport={self.rpc_port}",
            "-rpcthreads=2",
            "-par=1",
            "-dbcache=4",
            "-maxconnections=60",
            "-capturemessages",
            "-logthreadnames",
            "-logtimemicros",
            "-printtoconsole=0",
            *(f"-debug={category}" for category in CATEGORIES),
            *self.extra,
        ]

    def start(self, *once: str, wait: bool = True) -> None:
        """Run it, with arguments for this time only; `wait` until it answers."""
        self.datadir.mkdir(exist_ok=True)
        if self.program.root is not None:
            os.chown(self.datadir, NOBODY, NOBODY)
        self.starts += 1
        said = (self.datadir / f"said-{self.starts}").open("wb")
        with said:
            command = [*self.program.command(), *self.arguments(), *once]
            self.process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd="/")
        if wait:
            self.wait_ready()

    def said(self) -> str:
        """What it printed since it was last started."""
        return (self.datadir / f"said-{self.starts}").read_text(errors="replace")

    def wait_ready(self) -> None:
        """Until it answers; its start may take a while on a busy machine."""

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"the node ended at once: {self.said()}"
            with contextlib.suppress(OSError, RpcError, http.client.HTTPException):
                return int(self.rpc("getblockcount")) >= 0
            return False

        wait_for(answers, "the node answers", 2 * WAIT_S)

    def stop(self) -> None:
        """End it in good order."""
        self.rpc("stop")
        assert self.process is not None
        assert self.process.wait(2 * WAIT_S) == 0, self.said()

    def kill(self, how: int = signal.SIGKILL) -> None:
        """Kill it if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(WAIT_S)

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it, at once: nothing of it is needed any more."""
        self.kill()

    def cookie(self) -> str:
        """Its cookie, `user:password`."""
        return (self.netdir / ".cookie").read_text()

    def rpc(self, method: str, *params: Any, timeout: float = WAIT_S) -> Any:
        """Call it.

        Raises:
            RpcError: it refuses.
            OSError: it does not answer, or there is no cookie.
        """
        basic = base64.b64encode(self.cookie().encode()).decode()
        connection = http.client.HTTPConnection(LOOPBACK, self.rpc_port, timeout=timeout)
        with contextlib.closing(connection):
            body = json.dumps({"id": 0, "method": method, "params": params})
            connection.request("POST", "/", body, {"Authorization": f"Basic {basic}", "Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        if response.status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise RpcError(-response.status, "not authorized")
        answer = json.loads(text)
        if answer["error"] is not None:
            raise RpcError(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    def peers(self) -> dict[int, dict[str, Any]]:
        """Its peers by id."""
        return {peer["id"]: peer for peer in self.rpc("getpeerinfo")}

    def connect(self, other: Node, *, v2: bool = True, as_friend: bool = True) -> int:
        """Connect to another node as a manual outbound peer; the peer's id here, once both are through the handshake."""
        known, theirs = self.peers().keys(), other.peers().keys()
        address = f"{LOOPBACK}:{other.friend_port if as_friend else other.port}"
        self.rpc("addnode", address, "onetry", v2)

        def ready() -> list[int]:
            made = [number for number, peer in self.peers().items() if number not in known and through(peer)]
            met = [number for number, peer in other.peers().items() if number not in theirs and through(peer)]
            return made if met else []

        return int(wait_for(ready, f"a connection to {address}")[0])

    def disconnect_all(self) -> None:
        """Drop all peers, and wait until they are gone."""
        for number in self.peers():
            with contextlib.suppress(RpcError):  # it went by itself
                self.rpc("disconnectnode", "", number)
        wait_for(lambda: not self.peers(), "no peers")
