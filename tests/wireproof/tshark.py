"""Runs tshark over messages and gives what its Bitcoin dissector (epan/dissectors/packet-bitcoin.c) says of each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.wireproof.examples import Message
from tests.wireproof.pcap import write_pcap

TSHARK = shutil.which("tshark")

_FAMILIES = (
    "command", "length", "version", "addr", "address", "inv", "getdata", "notfound", "getblocks", "getheaders", "headers", "tx",
    "block", "ping", "pong", "reject", "filterload", "filteradd", "merkleblock", "string", "data",
)  # fmt: skip
"""First parts, behind `bitcoin.`, of the names of all fields that are asked for."""


class Fields:
    """The fields of one message: for each name (without `bitcoin.`) its values, in order."""

    def __init__(self, layers: dict[str, list[str]]) -> None:
        """Take a packet of tshark's JSON apart."""
        self._values = {name.removeprefix("bitcoin_"): values for name, values in layers.items()}
        self.names = set(self._values)
        """Fields that are there, with underscores for points."""
        self.asked: set[str] = set()
        """Fields that were asked for, likewise."""
        self.malformed = "_ws_malformed" in layers
        """Whether tshark ran out of bytes."""

    def texts(self, name: str) -> list[str]:
        """Values as tshark shows them."""
        self.asked.add(name.replace(".", "_"))
        return [v.replace("<MISSING>", "") for v in self._values.get(name.replace(".", "_"), [])]

    def numbers(self, name: str) -> list[int]:
        """Numbers, decimal or hexadecimal."""
        return [int(v, 0) for v in self.texts(name)]

    def octets(self, name: str) -> list[bytes]:
        """Byte strings."""
        return [bytes.fromhex(v.replace(":", "")) for v in self.texts(name)]

    def times(self, name: str) -> list[int]:
        """Moments, in seconds since 1970."""
        return [_seconds(v) for v in self.texts(name)]


def _seconds(shown: str) -> int:
    """A time as tshark 4.0 writes it (Nov 24, 2026 21:32:25.000000000 UTC), or as later ones do (ISO 8601)."""
    whole = shown.removesuffix(" UTC").removesuffix("Z").split(".")[0]
    moment = datetime.fromisoformat(whole) if whole[:4].isdigit() else datetime.strptime(whole, "%b %d, %Y %H:%M:%S")  # noqa: DTZ007 - UTC follows
    return int(moment.replace(tzinfo=UTC).timestamp())


def field_names() -> list[str]:
    """Every field of the installed tshark's Bitcoin dissector."""
    listed = _run("-G", "fields").splitlines()
    return sorted({line.split("\t")[2] for line in listed if line.startswith("F\t") and line.split("\t")[4] == "bitcoin"})


def fields_of(messages: Sequence[Message], folder: Path) -> list[Fields]:
    """What tshark says of messages, in one run.

    Args:
        messages: type and payload each.
        folder: where the capture file may lie.

    Raises:
        LookupError: tshark did not see a message where it was written.
    """
    path = folder / "messages.pcap"
    frames = write_pcap(path, messages)
    wanted = [name for name in field_names() if name.split(".")[1] in _FAMILIES]
    options = [option for name in ("frame.number", "_ws.malformed", *wanted) for option in ("-e", name)]
    found: dict[int, Fields] = {}
    for line in _run("-r", str(path), "-Y", "bitcoin", "-T", "ek", *options).splitlines():
        if line.startswith('{"timestamp"'):
            layers = json.loads(line)["layers"]
            frame = int(layers.pop("frame_number")[0])
            found[frame] = Fields(layers)
    if absent := [n for n, frame in enumerate(frames) if frame not in found]:
        raise LookupError(f"tshark saw no Bitcoin message in {len(absent)} of {len(frames)} frames; the first is {absent[0]}")
    return [found[frame] for frame in frames]


def _run(*options: str) -> str:
    assert TSHARK
    environment = os.environ | {"TZ": "UTC", "LC_ALL": "C.UTF-8"}
    return subprocess.run([TSHARK, *options], capture_output=True, text=True, check=True, env=environment, timeout=120).stdout
