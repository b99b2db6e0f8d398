"""The ways in which each node is looked at, and the source for each: what `sources.several.Several` is told to keep open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from peerwatch.app.config import Config, end_of
from peerwatch.app.nodes import Node, Nodes, capture_path, cookie_path, log_path, rpc_end
from peerwatch.schema.table import Identity
from peerwatch.sources._api import Source
from peerwatch.sources.capture import CaptureSource
from peerwatch.sources.debuglog.source import DebugLogSource
from peerwatch.sources.intelligence import Intelligence
from peerwatch.sources.look import LookSource
from peerwatch.sources.probe.look import ProbeLook
from peerwatch.sources.process.look import ProcessLook
from peerwatch.sources.process.proc import pid_from_file
from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.login import login_of
from peerwatch.sources.rpc.look import RpcLook
from peerwatch.sources.several import Opening, Part
from peerwatch.store.archive import Archive

Position = Callable[[Identity], Mapping[str, Any]]
"""How far a source had come, by the archive."""


class Ways:
    """What there is to look at, as it is now."""

    def __init__(self, config: Config, nodes: Nodes, archive: Archive, position: Position, intelligence: Intelligence) -> None:
        """Look at `nodes`, which `config` describes; `archive` knows up to where they were looked at before."""
        self._config = config
        self._nodes = nodes
        self._archive = archive
        self._position = position
        self._intelligence = intelligence
        self._pids: dict[str, int | None] = {}

    def __call__(self) -> dict[Part, Opening]:
        """The sources that there should be."""
        self._intelligence.refresh()
        found: dict[Part, Opening] = {}
        for node in self._nodes.find():
            self._pids[node.name] = node.pid
            for way, opening in self._of(node):
                found[Part(node.name, way)] = opening
        return found

    def _of(self, node: Node) -> Iterator[tuple[str, Opening]]:
        if end := rpc_end(node):
            yield "rpc", self._rpc(node, end)
        if log := log_path(node):
            yield "debuglog", self._log(node.name, log)
        if capture := capture_path(node):
            yield "capture", Opening(capture, lambda: self._capture(node.name, capture))
        if node.config.process == "on" and (node.pid is not None or node.files):
            yield "process", self._process(node)
        if node.config.probe != "off" and (node.config.p2p or node.files):
            yield "probe", self._probe(node)

    def _rpc(self, node: Node, end: tuple[str, int]) -> Opening:
        files = node.files
        login = login_of(cookie_path(node), node.config.rpc_user, node.config.rpc_password_file, files.conf if files else None)
        addresses = files.own_addresses if files else ()
        listens, binds = (files.listens, files.binds) if files else (None, None)

        def known() -> Known:
            return Known(node.config.labels, self._intelligence.origins, addresses, binds, listens)

        what = (end, login, addresses, listens, binds)
        return Opening(what, lambda: LookSource(RpcLook(end, login, known, self._config.rpc_seconds), node.name))

    def _log(self, name: str, path: Path) -> Opening:
        return Opening(path, lambda: DebugLogSource(path, name, position=self._before(name, "debuglog")))

    def _capture(self, name: str, folder: Path) -> Source:
        return CaptureSource(folder, name, follow=True, position=self._before(name, "capture"))

    def _process(self, node: Node) -> Opening:
        pid_file = node.files.pid_file if node.files else None
        datadir = node.files.datadir if node.files else None

        def find() -> int | None:
            pid = self._pids.get(node.name)
            return pid if pid is not None or pid_file is None else pid_from_file(pid_file)

        what = (pid_file, datadir, node.traced)
        return Opening(what, lambda: LookSource(ProcessLook(find, datadir, tell_node=not node.traced), node.name))

    def _probe(self, node: Node) -> Opening:
        files = node.files
        end = end_of(node.config.p2p) if node.config.p2p else files.p2p if files else ("127.0.0.1", 0)
        chain = files.chain if files else "main"
        transport = node.config.probe
        assert transport != "off"  # noqa: S101 - the caller asked
        return Opening((end, chain, transport), lambda: LookSource(ProbeLook(end, chain, transport), node.name))

    def _before(self, node: str, source: str) -> Mapping[str, Any] | None:
        """Position of the last session of a source."""
        session = self._archive.last_session(node, source)
        return self._position(Identity(node, session, source)) if session is not None else None
