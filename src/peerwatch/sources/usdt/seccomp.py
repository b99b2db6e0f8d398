"""A system call filter for the watcher: what it never needs, and what a way to more rights would begin with.

The filter is a classic BPF program (seccomp(2)); the kernel applies it to every thread, and it can never be taken back. A refused
call fails with EPERM, so that a library which tries one gets an ordinary error and not a dead process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
JUMP_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K
ALLOW = 0x7FFF0000  # SECCOMP_RET_ALLOW
ERRNO = 0x00050000  # SECCOMP_RET_ERRNO; the low 16 bits are the error
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Offsets in `struct seccomp_data`; of the argument its low word."""

AUDIT_ARCH_X86_64 = 0xC000003E
X32_BIT = 0x40000000
"""Calls of the x32 ABI have numbers of their own from here on; none of them is let through."""

AVAILABLE = platform.machine() == "x86_64"
"""Whether the numbers below are this machine's."""

SECCOMP = 317
SET_MODE_FILTER = 1
FLAG_TSYNC = 1
CLONE = 56
CLONE3 = 435
NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: in a new user namespace a process has every capability."""

REFUSED = {
    # other programs, other processes
    "execve": 59, "execveat": 322, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "process_madvise": 440,
    "kcmp": 312, "pidfd_getfd": 438, "move_pages": 279, "migrate_pages": 256,
    # tracing; the map descriptors that the watcher holds are for mmap only
    "bpf": 321, "perf_event_open": 298,
    # the kernel itself
    "kexec_load": 246, "kexec_file_load": 320, "init_module": 175, "finit_module": 313, "delete_module": 176, "reboot": 169,
    "syslog": 103, "iopl": 172, "ioperm": 173, "acct": 163, "swapon": 167, "swapoff": 168, "quotactl": 179, "quotactl_fd": 443,
    "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305, "sethostname": 170, "setdomainname": 171,
    # namespaces and mounts
    "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "fanotify_init": 300,
    # ways around this filter, and favourites of kernel exploits
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "userfaultfd": 323, "keyctl": 250, "add_key": 248,
    "request_key": 249, "personality": 135, "modify_ldt": 154, "uselib": 134, "vhangup": 153, "lookup_dcookie": 212,
}  # fmt: skip
"""Refused calls and their numbers on x86_64 (Linux, arch/x86/entry/syscalls/syscall_64.tbl)."""


def filter_program() -> bytes:
    """The filter as an array of `struct sock_filter`, 8 bytes an instruction.

    Order: foreign architecture, x32, the refused calls one by one, `clone3` (its flags lie in memory, where a filter cannot look:
    ENOSYS makes libraries fall back to `clone`), and `clone` with a flag for a new namespace.
    """
    calls = list(REFUSED.values())
    refuse = len(calls) + 9  # positions of the last two instructions
    unknown = refuse + 1
    program = [(LOAD_WORD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 0, refuse - 2, AUDIT_ARCH_X86_64), (LOAD_WORD, 0, 0, NUMBER)]
    program.append((JUMP_AT_LEAST, refuse - 4, 0, X32_BIT))
    program += [(JUMP_EQUAL, refuse - (4 + i) - 1, 0, call) for i, call in enumerate(calls)]
    program.append((JUMP_EQUAL, unknown - len(program) - 1, 0, CLONE3))
    program.append((JUMP_EQUAL, 0, 2, CLONE))
    program.append((LOAD_WORD, 0, 0, FIRST_ARGUMENT))
    program.append((JUMP_ANY_BIT, refuse - len(program) - 1, 0, NEW_NAMESPACES))
    program.append((RETURN, 0, 0, ALLOW))
    program += [(RETURN, 0, 0, ERRNO | errno.EPERM), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refuse_calls() -> str | None:
    """Put the filter on all threads of this process, for good; needs no_new_privs.

    Returns:
        None, or in a sentence why this machine has no filter.
    """
    if not AVAILABLE:
        return f"There is no system call filter for {platform.machine()}."
    program = filter_program()
    code = ctypes.create_string_buffer(program, len(program))
    pointer = ctypes.byref(_Program(len(program) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(SECCOMP, SET_MODE_FILTER, FLAG_TSYNC, pointer) != 0:
        return f"The system call filter was not accepted: {os.strerror(ctypes.get_errno())}."
    return None
