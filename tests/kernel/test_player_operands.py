"""The player's probes pass what they were given, at every site: read by the kernel's own uprobe events, without our BPF program.

The address, semaphore and operands of each site are taken from the binary's notes, as every tracer does.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.events import OUTBOUND, Events, Name
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.sources.simulation.playfile import PlayWriter
from peerwatch.sources.usdt.probes import HEADER, PROBES, Arg, Kind

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).parents[2]
GROUP = "pwplayer"
PAYLOAD = 61
"""Bytes of each payload; an event holds no array of more than 64."""
SITES = 4
ROUNDS = 6
START = 1_700_000_000_000_000_000
NAME = Name(b"[2001:db8::7]:8333", b"outbound-full-relay")
REGISTERS = {"al": "ax", "bl": "bx", "cl": "cx", "dl": "dx", "dil": "di", "sil": "si", "bpl": "bp"}


def define(tracing: Path, line: str) -> None:
    """Define or remove an event, and leave those of others alone: no truncation, which would remove all."""
    events = os.open(tracing / "uprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(events, line.encode() + b"\n")
    finally:
        os.close(events)


@pytest.fixture
def tracing(tmp_path: Path) -> Iterator[Path]:
    """A tracing file system of our own, with an instance for our events; both are gone afterwards."""
    folder = tmp_path / "tracing"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tracefs", "tracefs", folder], capture_output=True, check=False).returncode:
        pytest.skip("cannot mount tracefs")
    (folder / f"instances/{GROUP}").mkdir()
    yield folder
    for switch in (folder / f"instances/{GROUP}/events").glob(f"{GROUP}/enable"):
        switch.write_text("0")
    (folder / f"instances/{GROUP}").rmdir()
    for line in (folder / "uprobe_events").read_text().splitlines():
        if f":{GROUP}/" in line:
            define(folder, f"-{line.split()[0][1:]}")
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def player(tmp_path: Path) -> Path:
    """A copy of the player, which nobody else traces."""
    return Path(shutil.copy2(ROOT / "build/player/peerwatch-player", tmp_path / "player"))


def fetch(operand: str) -> str:
    """An operand of a note in the language of uprobe events."""
    if operand.startswith("$"):
        return f"\\{operand[1:]}"
    memory = re.fullmatch(r"(-?\d*)\(%(\w+)\)", operand)
    if memory:
        return f"{int(memory[1] or 0):+d}(%{register(memory[2])})"
    return f"%{register(operand.removeprefix('%'))}"


def register(name: str) -> str:
    """The kernel's name of a register, whatever part of it the operand names."""
    if name in REGISTERS:
        return REGISTERS[name]
    return re.sub(r"[dwb]$", "", name) if name[1].isdigit() else name.removeprefix("r").removeprefix("e")


def argument(position: int, operand: str, arg: Arg) -> str:
    """The definition of one field: an integer as it is passed, a text, or the first bytes behind a pointer."""
    size, place = operand.split("@")
    where = fetch(place)
    match arg.kind:
        case Kind.INT:
            return f"a{position}={where}:{'s' if size.startswith('-') else 'u'}{abs(int(size)) * 8}"
        case Kind.TEXT:
            return f"a{position}=+0({where}):ustring"
        case Kind.HASH:
            return f"a{position}=+0({where}):x8[32]"
        case Kind.PAYLOAD:
            return f"a{position}=+0({where}):x8[{PAYLOAD}]"


def definitions(binary: Path) -> list[str]:
    """One uprobe event for each site."""
    segments = re.findall(
        r"LOAD\s+(0x\w+) (0x\w+) 0x\w+ (0x\w+)",
        subprocess.run(["readelf", "-lW", binary], capture_output=True, text=True, check=True).stdout,
    )

    def in_file(address: str) -> str:
        for offset, begin, size in segments:
            if int(begin, 16) <= int(address, 16) < int(begin, 16) + int(size, 16):
                return hex(int(address, 16) - int(begin, 16) + int(offset, 16))
        raise ValueError(address)

    notes = subprocess.run(["readelf", "-nW", binary], capture_output=True, text=True, check=True).stdout
    number = {p.full_name: i for i, p in enumerate(PROBES)}
    lines = []
    pattern = r"Provider: (\S+)\s+Name: (\S+)\s+Location: (\S+),.*Semaphore: (\S+)\s+Arguments: (.*)"
    for i, (provider, name, location, semaphore, operands) in enumerate(re.findall(pattern, notes)):
        probe = number[f"{provider}:{name}"]
        fields = [argument(k, o, a) for k, (o, a) in enumerate(zip(operands.split(), PROBES[probe].args, strict=True))]
        place = f"{binary}:{in_file(location)}({in_file(semaphore)})"
        lines.append(f"p:{GROUP}/p{probe}_{i} {place} {' '.join(fields)}")
    return lines


def scenario() -> tuple[Events, list[tuple[int, list[str]]]]:
    """Each probe through each of its sites, several times with other values; and for each event what the kernel is to show."""
    rng = np.random.default_rng(11)
    count = len(PROBES) * SITES * ROUNDS
    head, bodies, shown = np.zeros(count, HEADER), [], []
    for i, event in enumerate(head):
        number, turn = i // SITES % len(PROBES), i // (SITES * len(PROBES))
        values = {a.name: value(rng, a, turn) for a in PROBES[number].args}
        event["ts"], event["probe"] = START, number
        if number <= OUTBOUND:
            values |= {"size": PAYLOAD, "address": NAME.address, "conn_type": NAME.conn_type, "type": b"sendaddrv2"}
            event["peer"], event["size"], event["type"] = values["peer"], PAYLOAD, np.void(b"sendaddrv2".ljust(16, b"\0"))
            bodies.append(values["payload"])
        else:
            body: Array = np.zeros(1, PROBES[number].body)
            for name, v in values.items():
                body[name] = v if isinstance(v, int) else np.void(v) if body[name].dtype.kind == "V" else v
            bodies.append(body.tobytes())
        shown.append((number, [text(a, values[a.name]) for a in PROBES[number].args]))
    head["kept"] = [len(b) for b in bodies]
    return Events(head, Pieces.of_bytes(bodies)), shown


def value(rng: np.random.Generator, arg: Arg, turn: int) -> int | bytes:
    if arg.kind is Kind.INT:
        if arg.width == 1:
            return turn % 2
        raw = int.from_bytes(rng.bytes(arg.width), "little")
        return raw - (1 << 8 * arg.width - 1) if arg.signed else raw >> (1 if arg.width == 8 else 0)
    if arg.kind is Kind.TEXT:
        return rng.bytes(5).hex().encode()
    return rng.bytes(32 if arg.kind is Kind.HASH else PAYLOAD)


def text(arg: Arg, v: int | bytes) -> str:
    if isinstance(v, int):
        return str(v)
    if arg.kind is Kind.TEXT:
        return f'"{v.decode()}"'
    return "{" + ",".join(f"0x{b:x}" for b in v) + "}"


def test_every_site_passes_what_was_played(tracing: Path, player: Path) -> None:
    """Each event reaches the kernel once, with all of its arguments, and no site of the binary is left out."""
    events, shown = scenario()
    file = io.BytesIO()
    PlayWriter(file, START).write(events, {int(p): NAME for p in events.head["peer"]})
    sites = definitions(player)
    for line in sites:
        define(tracing, line)
    instance = tracing / f"instances/{GROUP}"
    (instance / "buffer_size_kb").write_text("4096")
    (instance / f"events/{GROUP}/enable").write_text("1")
    command = [player, "--speed", "max", "--threads", "1", "--wait-attached", "30", "-"]
    subprocess.run(command, input=file.getvalue(), capture_output=True, check=True, timeout=60)
    lines = re.findall(r": (p(\d+)_\d+): \(0x\w+\) (.*)", (instance / "trace").read_text())
    assert [(int(number), re.sub(r"(^| )a\d=", r"\1", fields)) for _, number, fields in lines] == [
        (number, " ".join(fields)) for number, fields in shown
    ]
    assert {site for site, _, _ in lines} == {line.split()[0].split("/")[1] for line in sites}


def test_a_probe_is_skipped_while_nobody_listens(player: Path) -> None:
    """The semaphore is zero when no tracer is attached: a wait for one ends without."""
    command = [player, "--wait-attached", "0.2", "--load", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "peerwatch-player: no tracer came within 0.2 s\n")
