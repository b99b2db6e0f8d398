"""The few functions of libbpf that are needed, and the bpf(2) call it lacks: one link for many uprobes.

Debian's libbpf 1.1 knows no multi-uprobe links, but loads programs for them; `link_uprobes` creates the link itself. Nothing here
knows what the programs do.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

LIBRARY = "libbpf.so.1"
TRACE_UPROBE_MULTI = 48
"""`BPF_TRACE_UPROBE_MULTI`, enum bpf_attach_type of Linux 6.6 and later."""
ANY = 0
"""`BPF_ANY`: create or replace an element."""

_BPF_LINK_CREATE = 28
_SYS_BPF = 321  # x86-64
_PRINTED_BYTES = 1 << 20
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_POINTER = ctypes.c_void_p


class LibbpfMissingError(OSError):
    """libbpf 1.x is not installed."""


class _UprobeOptions(ctypes.Structure):
    """`struct bpf_uprobe_opts`."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("ref_ctr_offset", ctypes.c_size_t),
        ("bpf_cookie", ctypes.c_uint64),
        ("retprobe", ctypes.c_bool),
        ("func_name", ctypes.c_char_p),
    )


class _LinkCreate(ctypes.Structure):
    """`union bpf_attr`, link_create with uprobe_multi."""

    _fields_ = (
        ("prog_fd", ctypes.c_uint32),
        ("target_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("path", ctypes.c_uint64),
        ("offsets", ctypes.c_uint64),
        ("ref_ctr_offsets", ctypes.c_uint64),
        ("cookies", ctypes.c_uint64),
        ("cnt", ctypes.c_uint32),
        ("multi_flags", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
    )


@dataclass
class _Printed:
    """What libbpf said last; its callback is global, so is this."""

    text: bytearray = field(default_factory=bytearray)

    def take(self) -> str:
        """The text since the last call."""
        text = self.text.decode("utf-8", "replace").strip()
        self.text.clear()
        return text


_printed = _Printed()
_libc = ctypes.CDLL(None, use_errno=True)


def _print(level: int, form: bytes, arguments: int) -> int:
    if level <= 1:  # warnings and information; debug output is thousands of lines
        buffer = ctypes.create_string_buffer(_PRINTED_BYTES)
        length = _libc.vsnprintf(buffer, ctypes.c_size_t(len(buffer)), ctypes.c_char_p(form), ctypes.c_void_p(arguments))
        _printed.text += buffer.raw[: min(length, len(buffer) - 1)]
        del _printed.text[:-_PRINTED_BYTES]
    return 0


_print_callback = _PRINT(_print)  # libbpf keeps the pointer; so must we


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError as error:
        raise LibbpfMissingError(str(error)) from error
    for name, result, *arguments in (
        ("libbpf_set_print", _POINTER, _PRINT),
        ("bpf_object__open_file", _POINTER, ctypes.c_char_p, _POINTER),
        ("bpf_object__load", ctypes.c_int, _POINTER),
        ("bpf_object__close", None, _POINTER),
        ("bpf_object__find_program_by_name", _POINTER, _POINTER, ctypes.c_char_p),
        ("bpf_object__find_map_by_name", _POINTER, _POINTER, ctypes.c_char_p),
        ("bpf_map__set_max_entries", ctypes.c_int, _POINTER, ctypes.c_uint32),
        ("bpf_map__fd", ctypes.c_int, _POINTER),
        ("bpf_program__fd", ctypes.c_int, _POINTER),
        ("bpf_program__set_expected_attach_type", ctypes.c_int, _POINTER, ctypes.c_int),
        ("bpf_program__attach_uprobe_opts", _POINTER, _POINTER, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, _POINTER),
        ("bpf_link__destroy", ctypes.c_int, _POINTER),
        ("bpf_map_update_elem", ctypes.c_int, ctypes.c_int, _POINTER, _POINTER, ctypes.c_uint64),
        ("bpf_map_lookup_elem", ctypes.c_int, ctypes.c_int, _POINTER, _POINTER),
        ("bpf_map_delete_elem", ctypes.c_int, ctypes.c_int, _POINTER),
        ("bpf_map_freeze", ctypes.c_int, ctypes.c_int),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.libbpf_set_print(_print_callback)
    return library


def take_printed() -> str:
    """What libbpf printed since the last call: the verifier's log after a failed load."""
    return _printed.take()


def _checked(result: int | None, what: str) -> int:
    """A file descriptor, 0 or a pointer; OSError with errno and `what` for the failures of libbpf 1.x and of system calls."""
    if result is None or result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


class Object:
    """A BPF object file: opened, adjusted, loaded, closed. Every method raises OSError."""

    def __init__(self, path: str) -> None:
        """Open `path`; nothing is loaded yet. Raises also `LibbpfMissingError`."""
        self._library = _library()
        take_printed()
        self._object: int | None = _checked(self._library.bpf_object__open_file(os.fsencode(path), None), path)

    def set_max_entries(self, name: str, entries: int) -> None:
        """Size of a map, before loading."""
        _checked(self._library.bpf_map__set_max_entries(self._map(name), entries), name)

    def set_attach_type(self, program: str, attach_type: int) -> None:
        """What a program will be attached as, before loading."""
        _checked(self._library.bpf_program__set_expected_attach_type(self._program(program), attach_type), program)

    def load(self) -> None:
        """Create the maps and have the programs verified."""
        _checked(self._library.bpf_object__load(self._object), "load")

    def map_fd(self, name: str) -> int:
        """Descriptor of a map; it is closed with the object."""
        return _checked(self._library.bpf_map__fd(self._map(name)), name)

    def program_fd(self, name: str) -> int:
        """Descriptor of a program; it is closed with the object."""
        return _checked(self._library.bpf_program__fd(self._program(name)), name)

    def attach_uprobe(self, program: str, path: str, offset: int, semaphore: int, cookie: int) -> PerfLink:
        """Attach at one file offset for all processes through the perf uprobe PMU."""
        options = _UprobeOptions(ctypes.sizeof(_UprobeOptions), semaphore, cookie, False, None)
        link = self._library.bpf_program__attach_uprobe_opts(
            self._program(program), -1, os.fsencode(path), offset, ctypes.byref(options)
        )
        return PerfLink(_checked(link, program))

    def close(self) -> None:
        """Unload; may be called twice."""
        if self._object is not None:
            self._library.bpf_object__close(self._object)
            self._object = None

    def _map(self, name: str) -> int:
        return _checked(self._library.bpf_object__find_map_by_name(self._object, name.encode()), name)

    def _program(self, name: str) -> int:
        return _checked(self._library.bpf_object__find_program_by_name(self._object, name.encode()), name)


class PerfLink:
    """One attached uprobe of libbpf."""

    def __init__(self, link: int) -> None:
        """Own a `struct bpf_link *`."""
        self._link: int | None = link

    def close(self) -> None:
        """Detach; may be called twice."""
        if self._link is not None:
            _library().bpf_link__destroy(self._link)
            self._link = None


class MultiLink:
    """One multi-uprobe link."""

    def __init__(self, fd: int) -> None:
        """Own the descriptor of a link."""
        self._fd: int | None = fd

    def close(self) -> None:
        """Detach; may be called twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def link_uprobes(
    program_fd: int, path: str, offsets: Sequence[int], semaphores: Sequence[int], cookies: Sequence[int]
) -> MultiLink:
    """Attach at several file offsets of `path` for all processes, each with its semaphore and cookie, as one link (Linux 6.6).

    Needs CAP_BPF and CAP_PERFMON only. Raises OSError.
    """
    array = ctypes.c_uint64 * len(offsets)
    name = ctypes.create_string_buffer(os.fsencode(path))
    arrays = [array(*values) for values in (offsets, semaphores, cookies)]
    attributes = _LinkCreate(
        program_fd, 0, TRACE_UPROBE_MULTI, 0, ctypes.addressof(name), *map(ctypes.addressof, arrays), len(offsets), 0, 0, 0
    )
    fd = _libc.syscall(
        ctypes.c_long(_SYS_BPF), _BPF_LINK_CREATE, ctypes.byref(attributes), ctypes.c_uint32(ctypes.sizeof(attributes))
    )
    return MultiLink(_checked(fd, path))


def has_uprobe_multi(program_fd: int) -> bool:
    """Whether the kernel has multi-uprobe links; one that has them complains that `/` is no file, an older one about the link."""
    try:
        link_uprobes(program_fd, "/", (1,), (0,), (0,)).close()
    except OSError as error:
        return error.errno == errno.EBADF
    return True


def map_update(fd: int, key: bytes, value: bytes, flags: int = ANY) -> None:
    """Set an element. Raises OSError."""
    _checked(_library().bpf_map_update_elem(fd, key, value, flags), "bpf_map_update_elem")


def map_freeze(fd: int) -> None:
    """Let nobody but BPF programs write to a map any more. Raises OSError."""
    _checked(_library().bpf_map_freeze(fd), "bpf_map_freeze")


def map_lookup(fd: int, key: bytes, size: int) -> bytes | None:
    """An element of `size` bytes, or None if there is none. Raises OSError."""
    value = ctypes.create_string_buffer(size)
    return value.raw if _found(_library().bpf_map_lookup_elem(fd, key, value), "bpf_map_lookup_elem") else None


def map_delete(fd: int, key: bytes) -> bool:
    """Remove an element; False if there was none. Raises OSError."""
    return _found(_library().bpf_map_delete_elem(fd, key), "bpf_map_delete_elem")


def _found(result: int, what: str) -> bool:
    if result < 0 and ctypes.get_errno() == errno.ENOENT:
        return False
    _checked(result, what)
    return True
