"""From a probe's argument string to what BPF needs to read its arguments, or the reason why that cannot be done safely.

A string is what the compiler wrote, such as `-8@%rbx 8@-72(%rbp) 4@$1`: size in bytes (negative: signed) and an AT&T operand.
Understood are registers, registers with a displacement, and constants. Everything else (32-bit registers as base, index
registers, rip-relative, high-byte registers, floats) makes the probe unusable, and so does an argument list that differs from the
declared one: better blind, and said so, than wrong.

The sign of 8-byte arguments is not compared: it does not change the bits, and Core declares some of them differently from what
it passes (the establishment time of a closed connection is documented as uint64 and passed as signed seconds).
"""

from __future__ import annotations

import re

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.sources.usdt.probes import PEER, Arg, Kind, Probe
from peerwatch.sources.usdt.slots import ADDED, SPENT, UNCACHED

MAX_ARGS = 8
MAX_TEXT = 128
WORD = 8

ARGUMENT = np.dtype(
    [
        ("value", "<i8"),
        ("operand", "u1"),
        ("reg", "u1"),
        ("size", "u1"),
        ("is_signed", "u1"),
        ("content", "u1"),
        ("width", "u1"),
        ("offset", "<u2"),
    ]
)
SPEC = np.dtype(
    [
        ("probe", "u1"),
        ("nargs", "u1"),
        ("flags", "u1"),
        ("counter", "u1"),
        ("body", "<u2"),
        ("unused", "<u2"),
        ("args", ARGUMENT, (MAX_ARGS,)),
    ]
)
"""`struct argument` and `struct spec` in trace.bpf.c."""

IN_REGISTER, IN_MEMORY = 0, 1
CONTENT = {Kind.INT: 0, Kind.TEXT: 1, Kind.HASH: 2, Kind.PAYLOAD: 0}
HAS_PEER, DESCRIBES_PEER, FORGETS_PEER = 1, 2, 4
_FLAGS = {
    "net:inbound_connection": DESCRIBES_PEER,
    "net:outbound_connection": DESCRIBES_PEER,
    "net:closed_connection": FORGETS_PEER,
}

COUNTERS = {"utxocache:add": ADDED, "utxocache:spent": SPENT, "utxocache:uncache": UNCACHED}
"""Where a slot counts the probes that are only counted."""

_LETTERS = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
ZERO = 16
"""Number of the register that is always 0."""


def _registers() -> dict[str, tuple[int, int]]:
    """Every register name that is understood: its number in BPF's copy, and how many of its low bytes it names."""
    found: dict[str, tuple[int, int]] = {}
    for number, letters in enumerate(_LETTERS):
        low = letters[0] + "l" if letters.endswith("x") else letters + "l"
        found |= {f"r{letters}": (number, 8), f"e{letters}": (number, 4), letters: (number, 2), low: (number, 1)}
    for number in range(8, 16):
        found |= {f"r{number}": (number, 8), f"r{number}d": (number, 4), f"r{number}w": (number, 2), f"r{number}b": (number, 1)}
    return found


REGISTERS = _registers()
_ARGUMENT = re.compile(r"(-?)([1248])@(.+)", re.ASCII)
_REGISTER = re.compile(r"%(\w+)", re.ASCII)
_MEMORY = re.compile(r"(-?\d{0,10})\(%(\w+)\)", re.ASCII)
_CONSTANT = re.compile(r"\$(-?\d{1,20})", re.ASCII)


class NotUnderstoodError(ValueError):
    """Why a probe cannot be attached, in one sentence."""


def spec_of(probe: Probe, number: int, arguments: str) -> Array:
    """The entry (a scalar of `SPEC`) of BPF's `specs` map for a probe whose note has this argument string.

    `number` is the probe's number in records. The arguments of a counted probe are compared with the declaration, but may lie
    anywhere: they are not read. Raises `NotUnderstoodError`.
    """
    texts = arguments.split()
    if len(texts) != len(probe.args):
        raise NotUnderstoodError(f"{len(texts)} arguments instead of {len(probe.args)}")
    spec = np.zeros((), SPEC)
    spec["probe"] = number
    if probe.counted:
        spec["counter"] = COUNTERS[probe.full_name]
        for text, arg in zip(texts, probe.args, strict=True):
            _declared(text, arg)
        return spec
    spec["nargs"] = len(texts)
    spec["flags"] = _FLAGS.get(probe.full_name, 0) | (HAS_PEER if probe.args[0] is PEER else 0)
    offset = 0
    for i, (text, arg) in enumerate(zip(texts, probe.args, strict=True)):
        width = WORD if arg.kind in {Kind.INT, Kind.PAYLOAD} else arg.width
        spec["args"][i] = (*_operand(text, arg), CONTENT[arg.kind], width, offset)
        offset += width
    spec["body"] = offset
    return spec


def _declared(text: str, arg: Arg) -> tuple[int, bool, str]:
    """Size, sign and operand of one argument, once they are known to be the declared ones."""
    match = _ARGUMENT.fullmatch(text)
    if match is None:
        raise NotUnderstoodError(f"argument {arg.name} is {text!r}")
    signed, size = bool(match[1]), int(match[2])
    wanted = arg.width if arg.kind is Kind.INT else WORD
    if size != wanted:
        raise NotUnderstoodError(f"argument {arg.name} has {size} bytes instead of {wanted}")
    if size != WORD and signed != arg.signed:
        raise NotUnderstoodError(f"argument {arg.name} is {'' if signed else 'not '}signed")
    return size, signed, match[3]


def _operand(text: str, arg: Arg) -> tuple[int, int, int, int, bool]:
    """Value, operand kind, register, size and sign, as in `ARGUMENT`."""
    size, signed, operand = _declared(text, arg)
    if match := _REGISTER.fullmatch(operand):
        register, width = REGISTERS.get(match[1], (0, 0))
        if width >= size:
            return 0, IN_REGISTER, register, size, signed
    elif match := _MEMORY.fullmatch(operand):
        register, width = REGISTERS.get(match[2], (0, 0))
        if width == WORD and match[1] != "-":
            return int(match[1] or 0), IN_MEMORY, register, size, signed
    elif match := _CONSTANT.fullmatch(operand):
        value = int(match[1])
        if -(1 << 63) <= value < 1 << 64:
            return value - (1 << 64) if value >= 1 << 63 else value, IN_REGISTER, ZERO, size, signed
    raise NotUnderstoodError(f"argument {arg.name} lies in {operand!r}")
