"""The tracer: finds nodes, attaches to their binaries, and tells the watcher. It is the privileged process, looks at no payload,
and believes nothing that the watcher could have written.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence

from peerwatch.schema.batch import SECOND
from peerwatch.sources.usdt.discover import Wanted
from peerwatch.sources.usdt.journal import Journal
from peerwatch.sources.usdt.kernel import Kernel
from peerwatch.sources.usdt.link import PROTOCOL, Hello, LinkClosedError, LinkError, Who, requests, send
from peerwatch.sources.usdt.nodes import Nodes
from peerwatch.sources.usdt.poller import Poller

INTERVAL_S = 0.1
"""How often new slots are looked for; the watcher can ask for it at any time."""


class Tracer:
    """Traces nodes for one watcher at a time, in one thread: `start`, then `step` again and again."""

    def __init__(self, kernel: Kernel, wanted: Sequence[Wanted] = (), say: Callable[[str], None] = print) -> None:
        """Use a loaded kernel, which stays the caller's to close.

        Args:
            kernel: programs and maps.
            wanted: the nodes; none means all that are found.
            say: takes a line for the operator.
        """
        self.poller = Poller()
        """For whoever runs the tracer to wait for something more."""
        self.say = say
        self.barren = 0
        """Watchers in a row, the present one included, that have recorded nothing."""
        self._kernel = kernel
        self._journal = Journal()
        self._nodes = Nodes(kernel, wanted, self._journal, self.poller, say)
        self._client: socket.socket | None = None
        self._sent = 0
        self._starts = 0
        self._due = 0

    def start(self) -> None:
        """Attach to all binaries that are known, and look for nodes that run."""
        self._nodes.start()
        self._due = time.monotonic_ns() + SECOND

    def step(self, timeout_s: float = INTERVAL_S) -> None:
        """Wait for something to happen, at most for a time, and do what is due."""
        self.poller.wait(timeout_s)
        self._nodes.look_at_slots()
        if time.monotonic_ns() >= self._due:
            self._due = time.monotonic_ns() + SECOND
            self._nodes.each_second()
        self._tell()

    @property
    def serving(self) -> bool:
        """Whether there is a watcher."""
        return self._client is not None

    def admit(self, sock: socket.socket, last_end: str = "") -> None:
        """Serve the watcher at the other end from now on, in place of any before; `last_end` tells it how that one ended."""
        self.part()
        hello = Hello(PROTOCOL, self._nodes.session, self._kernel.ring_bytes, self._starts, self.barren, last_end)
        try:
            send(sock, hello, [self._kernel.fds[name] for name in ("ring", "slots", "control")])
        except LinkError as error:
            self.say(str(error))
            sock.close()
            return
        self._client, self._sent = sock, 0
        self._starts += 1
        self.barren += 1
        self.poller.on(sock.fileno(), self._hear)
        self._tell()

    def part(self) -> None:
        """Close the link to the watcher, if there is one."""
        if self._client is not None:
            self.poller.off(self._client.fileno())
            self._client.close()
            self._client = None

    def close(self) -> None:
        """Let go of the watcher and the nodes. May be called twice."""
        self.part()
        self._nodes.close()

    def _hear(self) -> None:
        """Take what the watcher says."""
        client = self._client
        try:
            for request in requests(client) if client else ():
                if isinstance(request, Who):
                    self._answer(request.slot)
                else:
                    self.barren = 0
                    self._journal.recorded(request.number)
        except LinkClosedError:
            self.part()
        except LinkError as error:
            self.say(str(error))
            self.part()

    def _answer(self, slot: int) -> None:
        self._nodes.look_at_slots(slot)
        process = self._journal.of_slot(slot)
        # One that is still to be sent comes with the others, in order; one that the journal has dropped does not.
        if process is not None and process not in self._journal.after(self._sent) and self._client is not None:
            send(self._client, process)

    def _tell(self) -> None:
        """Send the facts that the watcher has not got, as many as it takes."""
        if self._client is None:
            return
        if gone := self._journal.take_forgotten():
            self._nodes.blind(f"{gone} facts about processes were given up, because no watcher recorded them", time.time_ns())
        try:
            facts = self._journal.after(self._sent)
            for fact in facts:
                if not send(self._client, fact):
                    break
                self._sent = fact.number
            self.poller.also_writable(self._client.fileno(), wanted=bool(facts) and self._sent < facts[-1].number)
        except LinkClosedError:
            self.part()
