"""Threads by name."""

from __future__ import annotations

import pytest

from peerwatch.sources.process.proc import Proc
from peerwatch.sources.process.threads import MAIN, NAMES, OTHER, label, read_threads


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"b-msghand", "msghand"),
        (b"b-net", "net"),
        (b"b-scriptch.12", "scriptch"),
        (b"b-httpworker.0", "httpworker"),
        (b"b-httpworker.15", "httpworker"),
        (b"b-http_pool_3", "http_pool"),
        (b"b-http.07", "http"),
        (b"b-http", "http"),
        (b"b-i2paccept", "i2paccept"),
        (b"b-coinstatsinde", "coinstatsinde"),
        (b"b-evil", OTHER),
        (b"b-", OTHER),
        (b"b-\xff\xfe", OTHER),
        (b"bitcoind", OTHER),
        (b"net", OTHER),
        (b"", OTHER),
    ],
)
def test_names_are_those_of_core(name: bytes, expected: str) -> None:
    """Without the prefix and the number in a pool; what Core has not is one label, whatever it is."""
    assert label(name) == expected


def test_every_known_name_is_one_that_the_kernel_can_hold() -> None:
    """The kernel keeps 15 bytes, and a name that is known is labelled with itself."""
    assert all(len(f"b-{name}") <= 15 and label(f"b-{name}".encode()) == name for name in NAMES)


def test_threads_of_one_name_are_added_up(child) -> None:
    """Counts and processor time of real threads; the first one is `main`, and one that only borrows its name is not."""
    one = child("bitcoind", "b-msghand=0.2", "b-scriptch.0=0.1", "b-scriptch.1=0.1", "bitcoind", "b-nonsense")
    proc = Proc(one.pid)
    threads = read_threads(proc)
    proc.close()
    assert {name: each.count for name, each in threads.items()} == {MAIN: 1, "msghand": 1, "scriptch": 2, OTHER: 2}
    busy = {name: (each.user + each.system) / 100 for name, each in threads.items()}
    assert 0.15 <= busy["msghand"] <= 0.4
    assert 0.15 <= busy["scriptch"] <= 0.4
    assert busy[OTHER] <= 0.05
    assert all(each.waited is not None and each.waited >= 0 for each in threads.values())


def test_switches_are_counted_where_they_happen(child) -> None:
    """A thread that sleeps again and again is switched away as often, and one that rests is not."""
    one = child("bitcoind", "b-net")
    one.do("time.sleep(0.1)")  # until the other thread rests
    proc = Proc(one.pid)
    before = read_threads(proc)
    one.do("for _ in range(50): time.sleep(0.001)")
    after = read_threads(proc)
    proc.close()
    assert 50 <= (after[MAIN].voluntary or 0) - (before[MAIN].voluntary or 0) <= 150
    assert (after["net"].voluntary or 0) - (before["net"].voluntary or 0) <= 5


def test_a_process_that_is_gone_has_none(child) -> None:
    """And reading it is no error."""
    one = child("bitcoind", "b-net")
    proc = Proc(one.pid)
    one.reap()
    assert read_threads(proc) == {}
    proc.close()
