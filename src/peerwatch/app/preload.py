"""Everything that a watcher will ever import, imported before it gives up its rights.

Its user may not be able to read the code, and Python imports late: codecs, parts of PyArrow and DuckDB, what an error path needs.
A list kept by hand would miss some. So a forked child rehearses the whole way once, from simulated traffic to a sealed archive
and a query, and tells which modules that took.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import tempfile
import time
import warnings
from pathlib import Path
from threading import Thread

from peerwatch.app.pipeline import Settings
from peerwatch.app.state import open_incidents
from peerwatch.app.watch import Watch
from peerwatch.schema.batch import SECOND
from peerwatch.sources.debuglog.source import DebugLogSource
from peerwatch.sources.look import LookSource
from peerwatch.sources.process.look import ProcessLook
from peerwatch.sources.rpc.client import RpcClient
from peerwatch.sources.rpc.login import Credentials, Kind, Login
from peerwatch.sources.simulation.simulation import Plan
from peerwatch.sources.simulation.source import SimulationSource
from peerwatch.store.archive import Archive
from peerwatch.store.errors import ArchiveError

NODE = "rehearsal"
LENGTH_S = 20


def preload() -> int:
    """Import what a rehearsal needed. Returns how many modules that were not there before."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # The child uses nothing that a thread of this process could hold locked.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _rehearse_and_tell(writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    missing = [name for name in (json.loads(told) if told else []) if name not in sys.modules]
    for name in missing:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # made at run time, such as parts of compiled packages
    return len(missing)


def _rehearse_and_tell(writer: int) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="peerwatch-rehearsal-") as folder:
            rehearse(Path(folder))
    except Exception as error:  # noqa: BLE001 - it is only a rehearsal; what fails for good will say so for itself
        print(f"The rehearsal failed ({error}); going on.", file=sys.stderr)  # noqa: T201 - there is nobody else to tell
    finally:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(sorted(sys.modules)).encode())
        os._exit(0)


def rehearse(folder: Path) -> None:
    """The whole way, once: an attack is simulated, detected, recorded, sealed and asked for."""
    start = time.time_ns()
    plan = Plan("addr-flood-2021", 1, start, LENGTH_S * SECOND, 0.1, {"start_s": 1, "duration_s": LENGTH_S})
    with Archive.create_or_open(folder / "archive") as archive:
        loop = Watch(archive, Settings(archive.inventory_key, start, {}))
        loop.run([SimulationSource.simulated(plan, NODE)])
        open_incidents(archive.path, NODE)
    open_incidents(folder / "archive", NODE)
    rehearse_asking()
    rehearse_looking(folder)
    try:
        Archive(folder / "nothing")
    except ArchiveError as error:
        str(error)


def rehearse_looking(folder: Path) -> None:
    """Read a log and look at a process, once: a line of each kind, and ourselves."""
    path = folder / "debug.log"
    path.touch()
    log = DebugLogSource(path, NODE)
    process = LookSource(ProcessLook(os.getpid, folder), NODE)
    log.finish()
    stamp = "2026-01-01T00:00:00.5Z [net] "
    lines = (
        "received: ping (8 bytes) peer=1",
        "Misbehaving: peer=1: something",
        "what nobody knows 1",
        "Bitcoin Core version v1",
    )
    path.write_text("".join(f"{stamp}{line}\n" for line in lines))
    for source in (log, process):
        source.read()
        source.finish()
        source.close()


def rehearse_asking() -> None:
    """Ask somebody by RPC, once: ourselves, on a port of this machine that is open for a moment."""
    answer = b'{"result":1,"error":null,"id":1}'
    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.NamedTemporaryFile() as cookie:
        cookie.write(b"__cookie__:0")
        cookie.flush()

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))

        thread = Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        client = RpcClient("127.0.0.1", port, Credentials(Login(Kind.COOKIE, Path(cookie.name))))
        client.call("uptime")
        thread.join()
        client.close()
