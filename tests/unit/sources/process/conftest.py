"""A real process with named threads, as a node has them."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from peerwatch.sources.usdt.privileges import fork

NOBODY = 65534
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000

PROGRAM = """
import ctypes, os, sys, threading, time

libc = ctypes.CDLL(None)
PR_SET_NAME = 15
held = []

def call(name):
    libc.prctl(PR_SET_NAME, name.encode())

def busy(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass

def thread(name, seconds, ready):
    call(name)
    busy(seconds)
    ready.set()
    threading.Event().wait()

call(sys.argv[1])
for each in sys.argv[2:]:
    name, _, seconds = each.partition("=")
    ready = threading.Event()
    threading.Thread(target=thread, args=(name, float(seconds or 0), ready), daemon=True).start()
    ready.wait()
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""
"""Calls itself as the first argument says, starts a thread for each other one (`name`, or `name=seconds` of processor time), and
then does what it is told, line by line."""


@dataclass
class Child:
    """Such a process."""

    running: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        """Its id."""
        return self.running.pid

    def do(self, line: str) -> None:
        """Have it do something."""
        assert self.running.stdin
        assert self.running.stdout
        self.running.stdin.write(f"{line}\n")
        self.running.stdin.flush()
        assert self.running.stdout.readline() == "done\n"

    def kill(self) -> None:
        """End it; it stays a zombie until `reap`."""
        self.running.kill()
        with open(f"/proc/{self.pid}/stat") as stat:  # noqa: PTH123 - one open file tells of one process
            while stat.read().rpartition(")")[2].split()[0] != "Z":
                stat.seek(0)

    def reap(self) -> None:
        """Have it gone."""
        self.running.kill()
        self.running.wait()


Start = Callable[..., Child]


@pytest.fixture
def child() -> Iterator[Start]:
    """Start one that is called like the first argument, with threads that are called like the others."""
    children: list[Child] = []

    def start(*names: str) -> Child:
        command: Sequence[str] = (sys.executable, "-c", PROGRAM, *names)
        one = Child(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        children.append(one)
        assert one.running.stdout
        assert one.running.stdout.readline() == "ready\n"
        return one

    yield start
    for one in children:
        one.reap()
        assert one.running.stdin
        assert one.running.stdout
        one.running.stdin.close()
        one.running.stdout.close()


def _nobody(body: Callable[[], Any], *, hidepid: bool = False) -> Any:
    """What something (JSON-able) is to a user without rights, asked in a forked process; needs root.

    `hidepid`: where /proc hides the processes of others.
    """
    receiving, sending = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            if hidepid:
                hide_processes()
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            told = body()
        except BaseException:  # noqa: BLE001 - handed to the parent
            told = traceback.format_exc()
        os.write(sending, json.dumps(told).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def hide_processes() -> None:
    """Mount a /proc of our own with hidepid over the other."""
    libc = ctypes.CDLL(None, use_errno=True)
    calls = (
        lambda: libc.unshare(CLONE_NEWNS),
        lambda: libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None),
        lambda: libc.mount(b"proc", b"/proc", b"proc", 0, b"hidepid=2"),
    )
    for call in calls:
        if call() != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@pytest.fixture
def nobody() -> Callable[..., Any]:
    """Asks something as a user without rights."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return _nobody
