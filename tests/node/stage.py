"""Two nodes with scripted traffic, and every source there is on the first of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from peerwatch.peers.origins import Origins
from peerwatch.sources.capture import CaptureSource
from peerwatch.sources.debuglog.source import DebugLogSource
from peerwatch.sources.gathered import Rows
from peerwatch.sources.look import LookSource
from peerwatch.sources.process.look import ProcessLook
from peerwatch.sources.rpc._api import Answer, Known, Reader
from peerwatch.sources.rpc.login import login_of
from peerwatch.sources.rpc.look import RpcLook
from peerwatch.sources.rpc.readers.peers import Peers
from peerwatch.sources.rpc.registry import make_readers, methods
from tests.node.harness import LOOPBACK, Node, Program
from tests.node.tracing import NotTraceableError, TracedNode
from tests.node.traffic import STEPS, Scene, scene
from tests.node.watching import NAME, Watching

EVERY_S = 1.0


@dataclass
class Stage:
    """See the module."""

    scene: Scene
    watching: Watching
    untraced: str
    """Why the node's tracepoints are not among the sources; empty if they are."""

    @property
    def message_sources(self) -> list[str]:
        """Names of the sources that see messages."""
        return ["capture"] if self.untraced else ["capture", "usdt"]

    def play(self) -> None:
        """Everything once; the sources are read between the steps."""
        for step in STEPS:
            step(self.scene)
            self.watching.read()
        self.scene.rounds += 1
        self.scene.settle()


class EveryTime(Peers):
    """Tells the traffic of peers whenever they are asked for, not once a minute."""

    def read(self, answer: Answer) -> Iterable[Rows]:
        """Rows of one answer."""
        self._due = None
        return super().read(answer)


def readers(known: Known) -> list[Reader]:
    """All readers of answers, in a hurry."""
    return [EveryTime(known) if isinstance(reader, Peers) else reader for reader in make_readers(known)]


def rpc(node: Node, origins: Origins | None = None) -> LookSource:
    """What it answers; every call is made every second."""
    login = login_of(node.netdir / ".cookie", None, None, None)
    often = {method.method: EVERY_S for method in methods()}

    def known() -> Known:
        return Known({"role": "test"}, origins or Origins())

    return LookSource(RpcLook((LOOPBACK, node.rpc_port), login, known, often, readers), NAME)


def log(node: Node) -> DebugLogSource:
    """What it logs from now on."""
    return DebugLogSource(node.log, NAME)


def process(node: Node) -> LookSource:
    """What the system says of it."""
    return LookSource(
        ProcessLook(lambda: node.process.pid if node.process and node.process.poll() is None else None, node.datadir), NAME
    )


def capture(node: Node) -> CaptureSource:
    """What it captures; there must be something."""
    return CaptureSource(node.netdir, NAME, follow=True)


@contextlib.contextmanager
def staged(program: Program) -> Iterator[Stage]:
    """Set it up, with the connections of the scene made and nothing played."""
    with contextlib.ExitStack() as stack:
        watching = stack.enter_context(Watching())
        folder = stack.enter_context(program.folder())
        a, b = Node(program, folder / "a"), Node(program, folder / "b")
        try:
            watching.sources.append(TracedNode(program.binary, NAME, f"-datadir={a.datadir}"))
            untraced = ""
        except NotTraceableError as error:
            untraced = str(error)
        stack.enter_context(a)
        stack.enter_context(b)
        watching.sources += [process(a), rpc(a), log(a)]
        watching.read()
        set_up = stack.enter_context(scene(a, b))
        watching.sources.append(capture(a))
        yield Stage(set_up, watching, untraced)
