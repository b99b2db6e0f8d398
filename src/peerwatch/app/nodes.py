"""Which nodes there are beside their tracepoints, and the ways in which each can be looked at: RPC, log, process, capture, probe.

A configured node is looked at as its configuration says, and what it leaves out is found in its data directory, which is that of
its process if none is named. Without a configuration every process of this machine that is called like a node is one. All of it
is found with the rights of the watcher, which are few: what is closed to it, each source says for itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from peerwatch.app.config import Config, NodeConfig, end_of
from peerwatch.schema.batch import SECOND
from peerwatch.sources.datadir import CHAINS, DatadirError, NodeFiles, datadir_of, default_datadir, node_files
from peerwatch.sources.process.proc import pid_from_file
from peerwatch.sources.usdt.discover import USUAL_BINARIES, Wanted, described, home_of, node_key
from peerwatch.sources.usdt.processes import ProcessFacts, command_line, process_ids, read_process

GRACE_NS = 5 * SECOND
"""A process that was found is named by the tracer, if that traces it; it is waited for this long."""

OFF = "off"


@dataclass(frozen=True, slots=True)
class Node:
    """A node that can be looked at."""

    name: str
    config: NodeConfig
    files: NodeFiles | None
    """None when neither its configuration nor its process tells where they are."""
    pid: int | None
    """Its process, if that is known."""
    traced: bool
    """Whether its messages are seen through its tracepoints."""


def wanted(nodes: Sequence[NodeConfig]) -> list[Wanted]:
    """The nodes of a configuration that are found by their process."""
    return [Wanted(n.name, n.binary, n.pid, n.pid_file, n.user, tuple(n.args), n.datadir) for n in nodes if n.is_described]


def seen_otherwise(config: Config) -> bool:
    """Whether there is anything to look at without tracing: a way that is named, or a process that runs."""
    named = (way for node in config.node for way in (node.datadir, node.rpc, node.log, node.capture))
    if any(way not in (None, OFF) for way in named):
        return True
    nodes = wanted(config.node)
    return any(not config.node or described(nodes, facts) for facts in running_nodes())


class Nodes:
    """Finds them, again and again."""

    def __init__(
        self,
        config: Config,
        name_of: Callable[[str], str],
        traced: Callable[[int], str | None] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Look for the nodes of `config`.

        Args:
            config: the configuration; without nodes, those of this machine are found.
            name_of: name of a node that was found, by its key.
            traced: name of the node that a process is, by its id, where the tracer has told; None when nothing is traced.
            clock: monotonic, ns.
        """
        self._config = config
        self._wanted = wanted(config.node)
        self._name_of = name_of
        self._traced = traced
        self._clock = clock
        self._met: dict[tuple[int, int], int] = {}
        """When each process was seen first, by id and start."""

    def find(self) -> list[Node]:
        """All nodes as they are now."""
        running = list(running_nodes())
        now = self._clock()
        self._met = {(f.pid, f.ticks): self._met.get((f.pid, f.ticks), now) for f in running}
        if not self._config.node:
            return list(self._found(running))
        return [self._configured(node, running) for node in self._config.node]

    def _found(self, running: Sequence[ProcessFacts]) -> Iterator[Node]:
        twins: dict[str, int] = {}
        for facts in sorted(running, key=lambda f: f.ticks):
            name = self._traced(facts.pid) if self._traced else None
            key = node_key(facts)
            twin = twins.get(key, 0)
            twins[key] = twin + 1
            if name is None:
                if self._is_traced(facts):
                    continue
                name = self._name_of(node_key(facts, twin))
            yield Node(name, NodeConfig(name), _files_of(facts), facts.pid, self._is_traced(facts))

    def _configured(self, node: NodeConfig, running: Sequence[ProcessFacts]) -> Node:
        own = self._process(node, running) or (_by_pid_file(Path(node.datadir)) if node.datadir is not None else None)
        files = _files_of(own) if own and node.datadir is None else None
        if node.datadir is not None:
            files = _files(Path(node.datadir), own.args if own else ())
        elif files is None and node.rpc not in (None, OFF):
            files = _files_by_port(end_of(node.rpc or "")[1])
        return Node(node.name, node, files, own.pid if own else None, bool(own and self._is_traced(own)))

    def _process(self, node: NodeConfig, running: Sequence[ProcessFacts]) -> ProcessFacts | None:
        """The process of a configured node: as it is described, else the one with its RPC port."""
        if node.is_described:
            return next((f for f in running if (d := described(self._wanted, f)) and d.name == node.name), None)
        if node.rpc in (None, OFF):
            return None
        port = end_of(node.rpc or "")[1]
        return next((f for f in running if (files := _files_of(f)) and files.rpc and files.rpc[1] == port), None)

    def _is_traced(self, facts: ProcessFacts) -> bool:
        """Whether the tracer has told of a process; while it may still do so, it is taken for traced."""
        if self._traced is None:
            return False
        return self._traced(facts.pid) is not None or self._clock() - self._met.get((facts.pid, facts.ticks), 0) < GRACE_NS


def running_nodes() -> Iterator[ProcessFacts]:
    """Processes that are called like one of Bitcoin Core's executables."""
    for pid in process_ids():
        line = command_line(pid)
        called = os.path.basename(line.partition(b"\0")[0]) if line else b""  # noqa: PTH119 - not UTF-8
        if os.fsdecode(called) in USUAL_BINARIES and (facts := read_process(pid)):
            yield facts


def rpc_end(node: Node) -> tuple[str, int] | None:
    """Where to ask a node; None for not at all."""
    if node.config.rpc == OFF:
        return None
    return end_of(node.config.rpc) if node.config.rpc else node.files.rpc if node.files else None


def log_path(node: Node) -> Path | None:
    """The log to follow."""
    return _path(node.config.log, node.files.log if node.files else None)


def capture_path(node: Node) -> Path | None:
    """The capture to follow. One that lies in the data directory is followed if the node's messages are not traced anyway."""
    found = node.files.capture if node.files and not node.traced and _is_folder(node.files.capture) else None
    return _path(node.config.capture, found)


def cookie_path(node: Node) -> Path | None:
    """The cookie to log in with."""
    return _path(node.config.cookie, node.files.cookie if node.files else None)


def _path(given: str | None, found: Path | None) -> Path | None:
    return None if given == OFF else Path(given) if given else found


def _files_of(facts: ProcessFacts) -> NodeFiles | None:
    datadir = datadir_of(facts.args, home_of(facts.uid))
    return _files(datadir, facts.args) if datadir else None


def _files(datadir: Path, args: Sequence[str]) -> NodeFiles | None:
    try:
        return node_files(datadir, args[1:])
    except DatadirError:
        return None


def _by_pid_file(datadir: Path) -> ProcessFacts | None:
    """The process that a data directory names: one in a container calls the directory otherwise in its arguments."""
    files = _files(datadir, ())
    pid = pid_from_file(files.pid_file) if files else None
    return read_process(pid) if pid is not None else None


def _files_by_port(port: int) -> NodeFiles | None:
    """Files of a node of our own user that does not run yet, by the RPC port of its chain."""
    chain = next((chain for chain, (_, usual, _) in CHAINS.items() if usual == port), "main")
    files = _files(default_datadir(Path.home()), ("", f"-chain={chain}"))
    return replace(files, rpc=("127.0.0.1", port)) if files else None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
