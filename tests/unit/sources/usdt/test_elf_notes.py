"""Reading a binary's probe notes, from binaries made here byte by byte, and from broken ones."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peerwatch.sources.usdt.elf_notes import MAX_SECTION_BYTES, MAX_TEXT_BYTES, ElfError, Note, read_notes

TEXT, DATA = 0x401000, 0x8000
"""Addresses of the two segments; the file has them at 0x1000 and 0x2000."""
SEMAPHORE = DATA + 0x10


def note(
    name: str = "inbound_message",
    arguments: str = "8@%rax",
    place: int = TEXT,
    *,
    semaphore: int = SEMAPHORE,
    base: int = 0x500000,
    owner: bytes = b"stapsdt\0",
    kind: int = 3,
) -> bytes:
    """One note of `.note.stapsdt`, padded."""
    description = struct.pack("<QQQ", place, base, semaphore) + b"".join(t.encode() + b"\0" for t in ("net", name, arguments))
    padded = description + bytes(-len(description) % 4)
    return struct.pack("<III", len(owner), len(description), kind) + owner + bytes(-len(owner) % 4) + padded


@dataclass
class Binary:
    """A small binary: a segment of code, one of data, and sections for the notes, their base and the names."""

    notes: bytes = b""
    code: bytes = b"\x90" * 64
    base: int | None = 0x500000
    ident: bytes = b"\x7fELF\x02\x01\x01"
    machine: int = 62
    notes_kind: int = 7
    notes_size: int | None = None

    def build(self) -> bytes:
        """The file's bytes."""
        names = b"\0.shstrtab\0.note.stapsdt\0.stapsdt.base\0"
        segments_at, notes_at = 64, 0x3000
        names_at = notes_at + len(self.notes)
        sections_at = names_at + len(names) + -(names_at + len(names)) % 8
        section = lambda name, kind, address, at, size: struct.pack(  # noqa: E731 - a table
            "<IIQQQQIIQQ", names.index(name), kind, 0, address, at, size, 0, 0, 4, 0
        )
        notes_size = len(self.notes) if self.notes_size is None else self.notes_size
        sections = [
            bytes(64),
            section(b".shstrtab", 3, 0, names_at, len(names)),
            section(b".note.stapsdt", self.notes_kind, 0, notes_at, notes_size),
        ]
        if self.base is not None:
            sections.append(section(b".stapsdt.base", 8, self.base, 0, 1))
        segments = [
            struct.pack("<IIQQQQQQ", 1, flags, at, address, address, size, 0x1000, 0x1000)
            for flags, at, address, size in ((5, 0x1000, TEXT, len(self.code)), (6, 0x2000, DATA, 0x100))
        ]
        header = self.ident.ljust(16, b"\0") + struct.pack(
            "<HHIQQQIHHHHHH", 3, self.machine, 1, 0, segments_at, sections_at, 0, 64, 56, len(segments), 64, len(sections), 1
        )
        file = bytearray(sections_at)
        file[: len(header)] = header
        file[segments_at : segments_at + 112] = b"".join(segments)
        file[0x1000 : 0x1000 + len(self.code)] = self.code
        file[notes_at : notes_at + len(self.notes)] = self.notes
        file[names_at : names_at + len(names)] = names
        return bytes(file) + b"".join(sections)


def read(content: bytes, folder: Path) -> list[Note]:
    """The notes of a file with this content."""
    path = folder / "binary"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_notes(fd)
    finally:
        os.close(fd)


def test_notes_in_file_order_with_offsets(tmp_path: Path) -> None:
    """Names, arguments, and file offsets of places and semaphores come out as they went in; a probe may have several places."""
    notes = note(arguments="-8@%rax 8@-72(%rbp)") + note(place=TEXT + 5, semaphore=0) + note("x", "", TEXT + 63)
    assert read(Binary(notes).build(), tmp_path) == [
        Note("net", "inbound_message", 0x1000, 0x2010, "-8@%rax 8@-72(%rbp)"),
        Note("net", "inbound_message", 0x1005, 0, "8@%rax"),
        Note("net", "x", 0x103F, 0x2010, ""),
    ]


@pytest.mark.parametrize("moved", [-0x100000, 0x7000])
def test_prelinked_binaries_have_moved(tmp_path: Path, moved: int) -> None:
    """Where the base section lies elsewhere than a note says, place and semaphore have moved with it."""
    content = Binary(note(place=TEXT + 7 - moved, semaphore=SEMAPHORE - moved, base=0x500000 - moved)).build()
    assert [(n.location, n.semaphore) for n in read(content, tmp_path)] == [(0x1007, 0x2010)]


@pytest.mark.parametrize("base", [None, 0])
def test_without_a_base_nothing_moves(tmp_path: Path, base: int | None) -> None:
    """A binary without the base section, or with it at 0, is taken as it is."""
    assert read(Binary(note(), base=base).build(), tmp_path)[0].location == 0x1000


@pytest.mark.parametrize("owner", [b"GNU\0", b"stapsdtx", b"stapsdt"])
def test_notes_of_others_are_passed_over(tmp_path: Path, owner: bytes) -> None:
    """Only notes of the owner stapsdt and of type 3 are probes."""
    content = Binary(note(owner=owner) + note("y") + note(kind=4)).build()
    assert [n.name for n in read(content, tmp_path)] == ["y"]


def test_no_notes_no_probes(tmp_path: Path) -> None:
    """A binary without the section, with an empty one, or without any sections has no probes."""
    content = bytearray(Binary(note()).build())
    assert read(Binary().build(), tmp_path) == []
    assert read(Binary(note(), notes_kind=8).build(), tmp_path) == []
    assert read(bytes(content).replace(b".note.stapsdt", b".note.abcdefg"), tmp_path) == []
    content[60:64] = bytes(4)
    assert read(bytes(content), tmp_path) == []


@pytest.mark.parametrize("code", [b"\x90", b"\x66\x90", b"\x0f\x1f\x44\x00\x00", b"\x66\x0f\x1f\x44\x00\x00"])
def test_places_with_a_no_operation_are_accepted(tmp_path: Path, code: bytes) -> None:
    """All no-operations that assemblers and sdt.h emit are known."""
    assert len(read(Binary(note(), code=code.ljust(8, b"\xcc")).build(), tmp_path)) == 1


REFUSED = {
    "not a 64-bit ELF": Binary(note(), ident=b"\x7fELF\x01\x01"),
    "not a 64-bit ELF binary": Binary(note(), ident=b"\x7fELF\x02\x02"),
    "not an x86-64": Binary(note(), machine=183),
    "not at a no-operation": Binary(note(), code=b"\x48\x89\xe5\xc3"),
    "probe inbound_message lies outside": Binary(note(place=TEXT + 64)),
    "probe data lies outside": Binary(note("data", place=DATA)),
    "semaphore of probe s lies outside": Binary(note("s", semaphore=TEXT)),
    "the probe notes take": Binary(note(), notes_size=MAX_SECTION_BYTES + 1),
    "truncated: the probe notes ends": Binary(note(), notes_size=0x10000),
    "truncated: a probe note ends": Binary(note()[:-4]),
    "too short": Binary(struct.pack("<III", 8, 8, 3) + b"stapsdt\0" + bytes(8)),
    "no three texts": Binary(struct.pack("<III", 8, 32, 3) + b"stapsdt\0" + struct.pack("<QQQ", TEXT, 0, 0) + b"net\0abcd"),
    "has no three texts": Binary(note(arguments="8" * (MAX_TEXT_BYTES + 1))),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_broken_binaries_are_refused_with_the_reason(tmp_path: Path, reason: str) -> None:
    """What is not an intact x86-64 binary, and a probe that would break the traced process, is refused."""
    with pytest.raises(ElfError, match=reason):
        read(REFUSED[reason].build(), tmp_path)


GOOD = Binary(note(arguments="-8@%rax") + note("y", place=TEXT + 1)).build()


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    """Cut anywhere, a binary is refused: its section table is its last part."""
    for size in [*range(200), *range(0x2FF0, len(GOOD))]:
        with pytest.raises(ElfError):
            read(GOOD[:size], tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 250) | st.integers(0x2FF0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_corrupt_binaries_give_notes_or_an_error(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    """Whatever bytes change, there are notes whose places are no-operations in the file, or an `ElfError`."""
    content = bytearray(GOOD)
    for at, value in changes:
        content[at] = value
    try:
        notes = read(bytes(content), tmp_path)
    except ElfError:
        return
    for found in notes:
        assert content[found.location] in b"\x90\x66\x0f"
        assert 0 <= found.semaphore < len(content)
