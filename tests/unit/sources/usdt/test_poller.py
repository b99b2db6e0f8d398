"""Waiting for several descriptors."""

from __future__ import annotations

import os
import socket
import time

from peerwatch.sources.usdt.poller import Poller


def test_calls_are_made_for_what_is_readable() -> None:
    """A descriptor with something to read has its call made, each time until it is read; others have not."""
    poller, calls = Poller(), []
    one, other = socket.socketpair()
    quiet, _keep = socket.socketpair()
    with one, other, quiet, _keep:
        poller.on(one.fileno(), lambda: calls.append("one"))
        poller.on(quiet.fileno(), lambda: calls.append("quiet"))
        poller.wait(0)
        other.send(b"x")
        poller.wait(1)
        poller.wait(1)
        one.recv(1)
        poller.wait(0)
        assert calls == ["one", "one"]


def test_what_is_taken_off_is_not_called_any_more() -> None:
    """Also when an earlier call of the same wait takes it off, and its number is another descriptor's by then."""
    poller, calls = Poller(), []
    pairs = [socket.socketpair() for _ in range(2)]

    def first() -> None:
        for ours, _ in pairs:
            poller.off(ours.fileno())
        calls.append("first")

    for ours, theirs in pairs:
        poller.on(ours.fileno(), first)
        theirs.send(b"x")
    poller.wait(1)
    poller.wait(0)
    assert calls == ["first"]
    poller.off(12345)
    for ends in pairs:
        for end in ends:
            end.close()


def test_room_to_write_ends_a_wait_without_a_call() -> None:
    """A writable descriptor wakes whoever waits, and only while that is wanted."""
    poller, calls = Poller(), []
    one, other = socket.socketpair()
    with one, other:
        poller.on(one.fileno(), lambda: calls.append("one"))
        poller.also_writable(one.fileno(), wanted=True)
        before = time.monotonic()
        poller.wait(10)
        assert time.monotonic() - before < 5
        poller.also_writable(one.fileno(), wanted=False)
        before = time.monotonic()
        poller.wait(0.05)
        assert time.monotonic() - before >= 0.04
        assert calls == []


def test_the_end_of_a_process_is_readable() -> None:
    """A process descriptor has its call made when the process is gone."""
    poller, calls = Poller(), []
    child = os.posix_spawn("/bin/true", ["true"], {})
    descriptor = os.pidfd_open(child)
    poller.on(descriptor, lambda: calls.append(child))
    poller.wait(10)
    assert calls == [child]
    os.waitpid(child, 0)
    os.close(descriptor)
