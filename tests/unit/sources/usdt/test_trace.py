"""The BPF program's structs and numbers are those that Python reads and writes.

What the program does is tested against the running kernel, in tests/kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from peerwatch.sources.usdt import arguments, probes, slots
from peerwatch.sources.usdt.kernel import MAX_SPECS, OBJECT

SOURCE = re.sub(r"/\*.*?\*/", "", OBJECT.with_name("trace.bpf.c").read_text(), flags=re.DOTALL)
SIMPLE = {"u8": "u1", "u16": "<u2", "u32": "<u4", "u64": "<u8", "s64": "<i8", "char": "S1"}
NUMBERS = {
    "MAX_SLOTS": slots.MAX_SLOTS,
    "MAX_SPECS": MAX_SPECS,
    "MAX_ARGS": arguments.MAX_ARGS,
    "MAX_TEXT": arguments.MAX_TEXT,
    "MAX_LIMIT": slots.MAX_LIMIT,
    "LIMIT_BITS": slots.LIMIT_BITS,
    "DESCRIBED": probes.DESCRIBED,
    "UNREADABLE": probes.UNREADABLE,
    "ZERO": arguments.ZERO,
    "IN_REGISTER": arguments.IN_REGISTER,
    "IN_MEMORY": arguments.IN_MEMORY,
    "HAS_PEER": arguments.HAS_PEER,
    "DESCRIBES_PEER": arguments.DESCRIBES_PEER,
    "FORGETS_PEER": arguments.FORGETS_PEER,
    "INTEGER": arguments.CONTENT[probes.Kind.INT],
    "TEXT": arguments.CONTENT[probes.Kind.TEXT],
    "HASH": arguments.CONTENT[probes.Kind.HASH],
}


def constants() -> dict[str, int]:
    """What the C source gives names to by `#define` and `enum`."""
    found = {}
    for name, value, shift in re.findall(r"#define (\w+) \(?(\d+)u?(?: << (\d+))?\)?\s", SOURCE):
        found[name] = int(value) << int(shift or 0)
    for body in re.findall(r"enum \w* ?\{([^}]*)\}", SOURCE):
        following = 0
        for name, value in re.findall(r"(\w+)(?: = (\d+))?", body):
            found[name] = int(value) if value else following
            following = found[name] + 1
    return found


def count(text: str) -> int:
    """The number of an array's elements: a number or a name, possibly shifted."""
    value, _, shift = text.partition(" << ")
    known = constants()
    return known.get(value, 0) or int(value) << (known.get(shift, 0) if shift else 0)


def c_struct(name: str) -> np.dtype[np.void]:
    """A struct of the C source, with the offsets that C gives its members."""
    body = re.search(rf"struct {name} \{{(.*?)\n\}};", SOURCE, re.DOTALL)
    assert body is not None
    fields = []
    for kind, member, elements in re.findall(r"(struct \w+|\w+) (\w+)(?:\[([^\]]+)\])?;", body[1]):
        dtype = c_struct(kind.removeprefix("struct ")) if kind.startswith("struct ") else np.dtype(SIMPLE[kind])
        fields.append((member, dtype, (count(elements),)) if elements else (member, dtype))
    return np.dtype(fields, align=True)


def members(dtype: np.dtype[np.void]) -> Iterator[tuple[str, int, int]]:
    """Name, offset and bytes of each member, and of the members of the structs that it is made of."""
    for name in dtype.names or ():
        assert dtype.fields is not None
        member, offset = dtype.fields[name][:2]
        yield name, offset, member.itemsize
        yield from members(member.base)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("record", probes.HEADER),
        ("description", probes.DESCRIBED_BODY),
        ("spec", arguments.SPEC),
        ("slot", slots.SLOT),
        ("control", slots.CONTROL),
    ],
)
def test_structs_are_laid_out_alike(name: str, dtype: np.dtype[np.void]) -> None:
    """Each member has the same name, offset and size in C and in Python, and nothing is padded unseen."""
    assert list(members(c_struct(name))) == list(members(dtype))
    assert c_struct(name).itemsize == dtype.itemsize


def test_numbers_are_the_same() -> None:
    """Each number that both sides know has the same value in both."""
    found = constants()
    assert {name: found.get(name) for name in NUMBERS} == NUMBERS


def test_registers_are_saved_in_the_order_of_their_numbers() -> None:
    """What an argument's register number means in BPF is what its name means in Python."""
    saved = {name: int(number) for number, name in re.findall(r"r->value\[(\d+)\] = ctx->(\w+);", SOURCE)}
    assert saved == {name: number for name, (number, width) in arguments.REGISTERS.items() if width == arguments.WORD}
