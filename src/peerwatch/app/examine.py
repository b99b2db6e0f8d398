"""What `peerwatch doctor` says of each node beside its tracepoints: what can be read of it as whom, and what asking costs it.

Looked at as the watcher's user, in a child that has become it: what root can read says nothing of what the watcher will.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import msgspec

from peerwatch.app.config import Config
from peerwatch.app.nodes import Node, Nodes, capture_path, cookie_path, log_path, rpc_end
from peerwatch.app.preload import rehearse_asking
from peerwatch.schema.batch import SECOND
from peerwatch.sources.debuglog.source import DebugLogSource
from peerwatch.sources.rpc.client import RpcClient
from peerwatch.sources.rpc.errors import OUT_OF_REACH, RpcError
from peerwatch.sources.rpc.login import Credentials, login_of
from peerwatch.sources.rpc.registry import methods
from peerwatch.sources.usdt.diagnose import Fact, State
from peerwatch.sources.usdt.privileges import Account, fork
from peerwatch.sources.usdt.processes import command_line, cpu_ns, process_ids, read_process

MINUTE_S = 60.0
SAMPLE_BYTES = 1 << 20
"""End of a log that is looked at."""
TRAFFIC_MARK = b"received: "
"""What only a log with category net has, and soon has."""


def examine(config: Config, account: Account | None) -> list[Fact]:
    """Facts about all nodes, found out as `account` (None: as this user)."""
    if account is None:
        return list(_facts(config))
    rehearse_asking()
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        try:
            os.setgroups(account.groups)
            os.setgid(account.gid)
            os.setuid(account.uid)
            told = json.dumps([asdict(fact) for fact in _facts(config)])
            with os.fdopen(writer, "w") as pipe:
                pipe.write(told)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return msgspec.json.decode(told or "[]", type=list[Fact])


def _facts(config: Config) -> Iterator[Fact]:
    for node in Nodes(config, lambda _: "a node").find():
        name = node.name if node.pid is None else f"{node.name}, process {node.pid}"
        yield from (_rpc(name, node, config), _log(name, node), _capture(name, node))


def _rpc(name: str, node: Node, config: Config) -> Fact:
    """Make every call once, and say what all of them take of a minute."""
    name, end = f"{name}, rpc", rpc_end(node)
    if end is None:
        return Fact(name, State.OK, "not asked")
    login = login_of(
        cookie_path(node), node.config.rpc_user, node.config.rpc_password_file, node.files.conf if node.files else None
    )
    client = RpcClient(*end, Credentials(login))
    busy_ms, answered = 0.0, 0
    refused: dict[str, str] = {}
    try:
        for method in methods():
            every_s = config.rpc_seconds.get(method.method, method.every_s)
            if not every_s:
                continue
            try:
                reply = client.call(method.method)
            except RpcError as error:
                refused[method.method] = error.reason
                if error.trouble in OUT_OF_REACH:
                    break
                continue
            answered += 1
            busy_ms += reply.took / SECOND * 1000 * MINUTE_S / every_s
    finally:
        client.close()
    if not answered:
        return Fact(name, State.WARNING, "no answer", next(iter(refused.values()), ""))
    found = f"{answered} methods answered, {busy_ms:.0f} ms of the node's time a minute"
    if refused:
        advice = "allow them with rpcwhitelist= (peerwatch rpc-user prints the line), or the node's version lacks them"
        return Fact(name, State.WARNING, f"{found}; not {', '.join(sorted(refused))}", advice)
    return Fact(name, State.WARNING if login.is_exposed() else State.OK, found, _EXPOSED if login.is_exposed() else "")


_EXPOSED = "everybody on this machine can read the password's file: chmod 600"


def _log(name: str, node: Node) -> Fact:
    name, path = f"{name}, log", log_path(node)
    if path is None:
        return Fact(name, State.OK, "not read")
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - SAMPLE_BYTES))
            sample = file.read(SAMPLE_BYTES)
    except OSError as error:
        advice = "run the watcher as the node's user (`user =`), or make the log readable for a group that both are in"
        return Fact(name, State.WARNING, f"cannot be read: {str(error.strerror).lower()}", advice)
    if TRAFFIC_MARK not in sample:
        advice = (
            "run the node with -debug=net (and addrman, cmpctblock, mempoolrej, validation) to see handshakes, evictions and more"
        )
        return Fact(name, State.WARNING, "readable, without category net", advice)
    return Fact(
        name, State.OK, f"readable, with what is sent and received; {_lines_a_second(sample):,.0f} lines a second can be read"
    )


def _lines_a_second(sample: bytes) -> float:
    """How fast the end of a log is read, measured: processor time of making rows of it."""
    with tempfile.NamedTemporaryFile() as copy:
        source = DebugLogSource(Path(copy.name), "doctor")
        source.finish()
        whole = sample * max(1, SAMPLE_BYTES // (len(sample) or 1))  # making a chunk takes its time, however few lines it has
        copy.write(whole)
        copy.flush()
        began = time.thread_time()
        while source.finish():
            pass
        took = time.thread_time() - began
        source.close()
    return whole.count(b"\n") / max(took, 1e-6)


def watchers() -> Iterator[Fact]:
    """What the watchers that run take of a processor."""
    for pid in process_ids():
        words = (command_line(pid) or b"").split(b"\0")
        if b"run" not in words or not any(word.endswith(b"peerwatch") for word in words):
            continue
        facts, used = read_process(pid), cpu_ns(pid)
        ran = time.time_ns() - facts.started_ns if facts else 0
        if facts and used is not None and ran > 0:
            yield Fact(f"peerwatch, process {pid}", State.OK, f"{100 * used / ran:.1f} % of a processor since it was started")


def _capture(name: str, node: Node) -> Fact:
    path = capture_path(node)
    if path is None:
        return Fact(f"{name}, capture", State.OK, "none")
    readable = os.access(path, os.R_OK | os.X_OK)
    return Fact(
        f"{name}, capture",
        State.OK if readable else State.WARNING,
        "followed" if readable else "cannot be read",
        "" if readable else "run the watcher as the node's user (`user =`)",
    )
