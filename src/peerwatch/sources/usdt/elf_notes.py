"""The tracepoints of a binary: its `.note.stapsdt` notes, with addresses turned into file offsets.

Layout: the ELF specification (64-bit little-endian, x86-64) and
https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation. The file may be anything, and whoever can replace a traced
binary must not be able to do more than that: every offset and size is checked against the file before it is used, and a probe
is accepted only where the file has a no-operation instruction, because the kernel writes a breakpoint there.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_SECTION_BYTES = 16 << 20
"""The notes and names of Bitcoin Core take under 100 kB."""
MAX_TEXT_BYTES = 4096
"""Provider, name or arguments of a probe."""

_ELF64_LITTLE_ENDIAN = b"\x7fELF\x02\x01"
_X86_64 = 62
_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_NOTE = struct.Struct("<III")
_ADDRESSES = struct.Struct("<QQQ")
_SHT_NOBITS = 8
_PT_LOAD = 1
_PF_X = 1
_PF_W = 2
_STAPSDT = 3
_NOPS = (b"\x90", b"\x66\x90", b"\x0f\x1f", b"\x66\x0f\x1f")
_LONGEST_NOP = 4
_SEMAPHORE_BYTES = 2


class ElfError(ValueError):
    """The file is not a binary of this machine, or a broken one; the text says in which way."""


@dataclass(frozen=True, slots=True)
class Note:
    """One place of a probe: names, file offsets of the place and of its semaphore (0: none), and its argument string."""

    provider: str
    name: str
    location: int
    semaphore: int
    arguments: str

    @property
    def full_name(self) -> str:
        """`provider:name`."""
        return f"{self.provider}:{self.name}"


@dataclass(frozen=True, slots=True)
class _Section:
    name: bytes
    kind: int
    address: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Segment:
    flags: int
    offset: int
    address: int
    size: int


class _File:
    """Reads that end with a clear error instead of short."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size

    def read(self, offset: int, size: int, what: str) -> bytes:
        """`size` bytes at `offset`; `ElfError` if the file ends before."""
        if offset + size > self._size:
            raise ElfError(f"truncated: {what} ends beyond the file")
        found = os.pread(self._fd, size, offset)
        if len(found) != size:
            raise ElfError(f"{what} cannot be read")
        return found

    def table(self, offset: int, count: int, entry: int, layout: struct.Struct, what: str) -> list[tuple[int, ...]]:
        """A table of `count` entries."""
        if count and entry != layout.size:
            raise ElfError(f"{what} has entries of {entry} bytes")
        return list(layout.iter_unpack(self.read(offset, count * entry, what)))


def read_notes(fd: int) -> list[Note]:
    """The probe sites of the binary open as `fd`, in file order; none if it has no such notes.

    Raises `ElfError` for anything but an intact x86-64 binary, and OSError.
    """
    file = _File(fd)
    ident = os.pread(fd, 6, 0)
    if ident != _ELF64_LITTLE_ENDIAN:
        raise ElfError("not a 64-bit ELF binary")
    header = _HEADER.unpack(file.read(0, _HEADER.size, "the ELF header"))
    (
        _type,
        machine,
        _version,
        _entry,
        segments_at,
        sections_at,
        _flags,
        _ehsize,
        segment_size,
        segments,
        section_size,
        count,
        names,
    ) = header
    if machine != _X86_64:
        raise ElfError("not an x86-64 binary")
    loaded = [
        _Segment(flags, offset, address, size)
        for kind, flags, offset, address, _physical, size, _memory, _align in file.table(
            segments_at, segments, segment_size, _SEGMENT, "the program header table"
        )
        if kind == _PT_LOAD
    ]
    sections = _sections(file, file.table(sections_at, count, section_size, _SECTION, "the section header table"), names)
    base = next((section.address for section in sections if section.name == b".stapsdt.base"), 0)
    return [
        note
        for section in sections
        if section.name == b".note.stapsdt"
        for note in _notes(file, _content(file, section, "the probe notes"), loaded, base)
    ]


def _sections(file: _File, table: list[tuple[int, ...]], names_index: int) -> list[_Section]:
    if names_index >= len(table):
        return []
    _name, kind, _flags, address, offset, size, *_rest = table[names_index]
    names = _content(file, _Section(b"", kind, address, offset, size), "the section names")
    return [
        _Section(names[name : names.find(b"\0", name)], kind, address, offset, size)
        for name, kind, _flags, address, offset, size, *_rest in table
    ]


def _content(file: _File, section: _Section, what: str) -> bytes:
    if section.kind == _SHT_NOBITS:
        return b""
    if section.size > MAX_SECTION_BYTES:
        raise ElfError(f"{what} take {section.size} bytes")
    return file.read(section.offset, section.size, what)


def _notes(file: _File, content: bytes, segments: list[_Segment], base: int) -> Iterator[Note]:
    at = 0
    while at + _NOTE.size <= len(content):
        owner_size, size, kind = _NOTE.unpack_from(content, at)
        owner = at + _NOTE.size
        description = owner + (owner_size + 3 & ~3)
        at = description + (size + 3 & ~3)
        if description + size > len(content):
            raise ElfError("truncated: a probe note ends beyond its section")
        if kind == _STAPSDT and content[owner : owner + owner_size] == b"stapsdt\0":
            yield _note(file, content[description : description + size], segments, base)


def _note(file: _File, description: bytes, segments: list[_Segment], base: int) -> Note:
    if len(description) < _ADDRESSES.size:
        raise ElfError("a probe note is too short")
    location, note_base, semaphore = _ADDRESSES.unpack_from(description)
    texts = description[_ADDRESSES.size :].split(b"\0")
    if len(texts) < 4 or max(map(len, texts[:3])) > MAX_TEXT_BYTES:  # noqa: PLR2004 - three texts, each ended by a NUL
        raise ElfError("a probe note has no three texts")
    provider, name, arguments = (text.decode("ascii", "backslashreplace") for text in texts[:3])
    moved = base - note_base if base and note_base else 0  # prelink moves addresses without touching notes
    place = _file_offset(location + moved, segments, _PF_X, f"probe {name}")
    if not file.read(place, _LONGEST_NOP, f"probe {name}").startswith(_NOPS):
        raise ElfError(f"probe {name} is not at a no-operation instruction")
    counter = 0
    if semaphore:
        counter = _file_offset(semaphore + moved, segments, _PF_W, f"the semaphore of probe {name}")
        file.read(counter, _SEMAPHORE_BYTES, f"the semaphore of probe {name}")
    return Note(provider, name, place, counter, arguments)


def _file_offset(address: int, segments: list[_Segment], flag: int, what: str) -> int:
    for segment in segments:
        if segment.flags & flag and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise ElfError(f"{what} lies outside the binary")
