"""Every message type: messages and bytes a second, and how long other decoders take for the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import decoders
from bench.decoders import LIBRARIES
from bench.figures import Budget, Figure, Scale, Topic
from bench.mix import START, raw
from bench.payloads import FULL_BLOCK, FULL_HEADERS, Payloads
from bench.player import CACHE
from peerwatch.schema.table import Identity
from peerwatch.sources.simulation.events import messages
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.wire.dissect import dissect
from peerwatch.wire.keyed_hash import KEY_BYTES
from peerwatch.wire.messages.addr import MAX_ADDR_TO_SEND
from peerwatch.wire.messages.inv import MAX_INV_SZ
from peerwatch.wire.raw import RawMessages
from peerwatch.wire.registry import dissector_of_type
from tests.wireproof.examples import CAPTURES
from tests.wireproof.pcap import framed, write_pcap
from tests.wireproof.tshark import TSHARK, field_names
from tests.wireproof.tshark_rows import UNKNOWN

IDENTITY = Identity("bench", START, "bench")
KEY = bytes(range(KEY_BYTES))

MESSAGES = 10_000
"""Messages of one type at once; fewer of the long ones."""
BYTES = 4_000_000
"""Payload bytes at once, about."""

WITH_WITNESS = ("tx", "block")
"""Types of which tshark reads something else than what is there: it does not know witnesses."""

REPLAY = Budget(15.0, 5.0)
"""Seconds for all captures."""


@dataclass(frozen=True, slots=True)
class Work:
    """Messages of one type that several decoders are given."""

    name: str
    kind: str
    bodies: Pieces

    def payloads(self) -> list[bytes]:
        """Each payload as bytes."""
        data = memoryview(self.bodies.buf)
        return [
            bytes(data[at : at + size]) for at, size in zip(self.bodies.start.tolist(), self.bodies.size.tolist(), strict=True)
        ]

    def messages(self) -> RawMessages:
        """All of them as a source hands them over."""
        n = len(self.bodies)
        return raw(messages(START + np.arange(n) * 1000, np.arange(n) % 125, inbound=True, kind=self.kind, bodies=self.bodies))


def measure(scale: Scale) -> list[Figure]:
    """Each type by itself, the comparison, and the captures through the whole."""
    payloads = Payloads()
    figures = [figure for kind in dissector_of_type() for figure in _type(kind, payloads, scale)]
    figures += _compared(payloads, scale)
    figures.append(Figure("all captures, one `peerwatch replay` each", "s", _replayed(scale), REPLAY))
    return figures


def _work(kind: str, payloads: Payloads, scale: Scale) -> Work:
    """As many messages of a type as are looked at together."""
    mean = max(1, int(payloads.make(kind, scale.of(300, 20)).size.mean()))
    return Work(f"`{kind}`", kind, payloads.make(kind, min(scale.of(MESSAGES, 100), scale.of(BYTES, 100_000) // mean + 1)))


def _type(kind: str, payloads: Payloads, scale: Scale) -> Iterator[Figure]:
    work = _work(kind, payloads, scale)
    seconds = [_ours(work.messages()) for _ in range(scale.of(9, 2))]
    count, total = len(work.bodies), int(work.bodies.size.sum())
    about = f", {total / count:,.0f} bytes on average" if total else ""
    yield Figure(f"`{kind}`{about}", "msg/s", [count / s for s in seconds], is_rate=True)
    if total:
        yield Figure(f"`{kind}`, bytes", "MB/s", [total / s / 1e6 for s in seconds], is_rate=True)


def _works(payloads: Payloads, scale: Scale) -> Iterator[Work]:
    """What is compared: the largest lists, and what is most frequent or takes longest."""
    for kind, entries, lists in (
        ("addr", MAX_ADDR_TO_SEND, 50),
        ("addrv2", MAX_ADDR_TO_SEND, 50),
        ("inv", MAX_INV_SZ, 2),
        ("headers", FULL_HEADERS, 20),
    )[: scale.of(4, 1)]:
        yield Work(f"`{kind}` of {entries:,}", kind, payloads.entries(kind, np.full(scale.of(lists, 1), entries)))
    for kind in ("version", "inv", "ping", "getheaders", "tx", "blocktxn", "cmpctblock", "merkleblock", "cfheaders")[
        : scale.of(9, 1)
    ]:
        yield _work(kind, payloads, scale)
    yield Work(f"`block` of {FULL_BLOCK:,}", "block", Pieces.of_bytes([payloads.full_block() for _ in range(scale.of(3, 1))]))


def _compared(payloads: Payloads, scale: Scale) -> Iterator[Figure]:
    """How many times as long others take as `dissect`, for all that they know."""
    installed = {name: folder for name in LIBRARIES if (folder := _installed(name, scale)) is not None}
    with tempfile.TemporaryDirectory() as folder:
        for work in _works(payloads, scale):
            path = Path(folder, "messages")
            payloads_ = work.payloads()
            path.write_bytes(b"".join(framed(work.kind, payload) for payload in payloads_))
            ratios: dict[str, list[float]] = {}
            others = dict(installed)
            for _ in range(scale.of(2, 1)):
                ours = min(_ours(work.messages()) for _ in range(decoders.TIMES))
                for name, where in list(others.items()):
                    theirs = _theirs(name, where, path, work.kind)
                    if theirs is None:
                        del others[name]
                    else:
                        ratios.setdefault(name, []).append(theirs / ours)
                if TSHARK and work.kind not in UNKNOWN and work.kind not in WITH_WITNESS:
                    theirs = _tshark(work, payloads_, Path(folder))
                    if theirs is not None:
                        ratios.setdefault("tshark", []).append(theirs / ours)
            for name, values in ratios.items():
                yield Figure(f"{work.name}: {name} / peerwatch", "", values)


def _ours(what: RawMessages) -> float:
    """CPU seconds of dissecting messages into rows."""
    began = time.thread_time()
    dissect(IDENTITY, what, KEY)
    return time.thread_time() - began


def _installed(name: str, scale: Scale) -> Path | None:
    """The folder that a library is installed in, of its own; None, and a line that says so, where that fails.

    In the shortest form only btclib is tried, which the tests need anyway.
    """
    if name == "btclib":
        return Path(sys.prefix)  # it is in our own environment already
    if scale.quick:
        return None
    version = LIBRARIES[name][0]
    folder = CACHE / "decoders" / f"{name}-{version}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", f"{made}/all", f"{name}=={version}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.stderr.write(f"wire: {name} {version} could not be installed: {done.stderr.strip().splitlines()[-1]}\n")
                return None
            Path(made, "all").rename(folder)
    return folder


def _theirs(name: str, folder: Path, path: Path, kind: str) -> float | None:
    """CPU seconds of a library; None where it does not know this type, or fails at it."""
    command = [sys.executable, decoders.__file__, name, str(folder), str(path)]
    home = os.environ | {"HOME": str(path.parent)}  # some leave things there
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=home)
    found = json.loads(done.stdout.splitlines()[-1]).get(kind)
    return found if isinstance(found, float) else None


def _tshark(work: Work, payloads: list[bytes], folder: Path) -> float | None:
    """Wall seconds of tshark, writing all fields of all messages, less those for an empty file; None where that is too little."""
    path, empty = folder / "messages.pcap", folder / "empty.pcap"
    write_pcap(path, [(work.kind, payload) for payload in payloads])
    write_pcap(empty, [])
    fields = [option for name in field_names() for option in ("-e", name)]
    took = []
    for file in (empty, path):
        seconds = []
        for _ in range(decoders.TIMES):
            began = time.monotonic()
            subprocess.run([str(TSHARK), "-r", str(file), "-T", "fields", *fields], capture_output=True, check=True)
            seconds.append(time.monotonic() - began)
        took.append(min(seconds))
    return took[1] - took[0] if took[1] > took[0] else None


def _replayed(scale: Scale) -> list[float]:
    """Wall seconds of a process for each capture, one after the other."""
    captures = sorted(path.parent for path in CAPTURES.glob("*/expected.json"))
    # As when installed: what was compiled once stays so, wherever a development machine would rather not have it.
    installed = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(CACHE / "bytecode")}
    values = []
    for _ in range(scale.of(3, 1)):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            for capture in captures[: scale.of(len(captures), 1)]:
                command = [
                    sys.executable,
                    "-m",
                    "peerwatch",
                    "replay",
                    str(capture),
                    "--archive",
                    f"{folder}/{capture.name}",
                    "--quiet",
                ]
                subprocess.run(command, capture_output=True, check=True, env=installed)
            values.append(time.monotonic() - began)
    return values


TOPIC = Topic(
    "Every message type",
    f"""`dissect()` makes rows of messages of one type, at most {MESSAGES:,} of them or {BYTES // 1_000_000} MB at once, in one
thread; CPU time of that thread. Then, in turn and on the same bytes, other decoders: their time as a multiple of ours, so that 10
is ten times as long, and *best* is best for them. Python libraries
({", ".join(f"{name} {version}" for name, (version, _) in LIBRARIES.items())}) are called once a payload and give objects, by CPU
time; tshark writes all fields of its Bitcoin dissector, by wall time less that for an empty file. What a decoder does not know or
fails at is left out. At last, real captures from the folder to the archive, with the start of each process.""",
    measure,
)
