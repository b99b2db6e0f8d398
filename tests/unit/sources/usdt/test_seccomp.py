"""The system call filter, tried on the running kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peerwatch.sources.usdt import seccomp
from peerwatch.sources.usdt.seccomp import CLONE, CLONE3, REFUSED, X32_BIT, filter_program, refuse_calls

pytestmark = pytest.mark.skipif(not seccomp.AVAILABLE, reason="no filter for this machine")

NUMBERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
NEW_USER = 0x10000000


def call(number: int, *arguments: int) -> int:
    """Make a system call; 0, or the error."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_long(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    return ctypes.get_errno() if libc.syscall(ctypes.c_long(number), *words) < 0 else 0


def filtered(body: Callable[[], Any]) -> Callable[[], Any]:
    def inside() -> Any:
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        assert refuse_calls() is None
        return body()

    return inside


def test_numbers_are_those_of_the_kernel_headers() -> None:
    """Every refused name has the number that Linux gives it."""
    if not NUMBERS.exists():
        pytest.skip("linux-libc-dev is not installed")
    known = dict(re.findall(r"#define __NR_(\w+) (\d+)", NUMBERS.read_text()))
    wrong = {name: number for name, number in REFUSED.items() if name in known and int(known[name]) != number}
    assert wrong == {}
    assert len(REFUSED.keys() & known.keys()) > 50
    assert (int(known["clone"]), int(known["clone3"]), int(known["seccomp"])) == (CLONE, CLONE3, seccomp.SECCOMP)


def test_every_refused_call_fails_with_eperm(in_child: Callable[..., Any]) -> None:
    """A refused call is answered by the filter before the kernel looks at its arguments."""
    answers = in_child(filtered(lambda: {name: call(number, -1, -1, -1, -1) for name, number in REFUSED.items()}))
    assert answers == dict.fromkeys(REFUSED, errno.EPERM)


def test_x32_calls_are_refused(in_child: Callable[..., Any]) -> None:
    """The same call by its x32 number is no way around."""
    assert in_child(filtered(lambda: call(X32_BIT | REFUSED["bpf"]))) == errno.EPERM
    assert in_child(filtered(lambda: call(X32_BIT | 39))) == errno.EPERM


def test_namespaces_are_refused_and_threads_are_not(in_child: Callable[..., Any]) -> None:
    """`clone` makes threads and processes but no namespace, and `clone3` seems not to exist."""

    def body() -> list[Any]:
        ran: list[bool] = []
        thread = threading.Thread(target=lambda: ran.append(True))
        thread.start()
        thread.join()
        child = os.fork()
        if child == 0:
            os._exit(7)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return [call(CLONE, NEW_USER | 17), call(CLONE3, 0, 88), ran, status]

    assert in_child(filtered(body)) == [errno.EPERM, errno.ENOSYS, [True], 7]


def test_the_filter_is_on_threads_too(in_child: Callable[..., Any]) -> None:
    """A thread that was there before is held by it as well, and so is one started later."""

    def body() -> list[int]:
        answers: list[int] = []
        ready = threading.Event()
        threads = [threading.Thread(target=lambda: (ready.wait(), answers.append(call(REFUSED["bpf"]))))]
        threads[0].start()
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        assert refuse_calls() is None
        threads.append(threading.Thread(target=lambda: answers.append(call(REFUSED["bpf"]))))
        threads[1].start()
        ready.set()
        for thread in threads:
            thread.join()
        return answers

    assert in_child(body) == [errno.EPERM] * 2


def test_without_no_new_privs_it_says_that_it_was_not_accepted(in_child: Callable[..., Any]) -> None:
    """A filter that the kernel does not take is told in a sentence."""

    def body() -> str | None:
        if os.geteuid() == 0:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        return refuse_calls()

    assert "not accepted" in in_child(body)


def test_jumps_stay_inside_the_program() -> None:
    """Every jump leads to a later instruction, and every path ends in a return."""
    program = [struct.unpack_from("=HBBI", filter_program(), at) for at in range(0, len(filter_program()), 8)]
    for at, (code, true, false, _) in enumerate(program):
        if code & 7 == 5:
            assert at + 1 + max(true, false) < len(program)
    assert [code for code, *_ in program[-3:]] == [seccomp.RETURN] * 3
