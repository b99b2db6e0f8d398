"""Every byte of every message arrives as it was sent, over several laps of the ring, and what does not arrive is counted.

The player gives each message a number, from which its peer, direction, type and every byte of its payload follow (player/mix.c,
player/pattern.h); so a message with a byte or a field of another one is recognized.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from peerwatch.schema.batch import Array
from peerwatch.sources.usdt.probes import DESCRIBED, HEADER

pytestmark = pytest.mark.kernel

PEERS = 125
NUMBER = np.uint64(0x9E3779B97F4A7C15)
NUMBER_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
WORD = np.uint64(0xD1B54A32D192ED03)
NORMAL = {
    "inv": 500, "getdata": 120, "tx": 120, "addrv2": 50, "ping": 50, "pong": 50, "headers": 30, "feefilter": 20, "notfound": 20,
    "addr": 10, "sendcmpct": 12, "getheaders": 6, "getblocktxn": 5, "version": 3, "cmpctblock": 2, "nonsense": 2,
}  # fmt: skip
BIG = ("tx", "block", "cmpctblock", "blocktxn")


def type_column(names: list[str]) -> Array:
    """Message types as in a header."""
    return np.array([name.encode().ljust(16, b"\0") for name in names], "V16")


def scramble(x: Array) -> Array:
    """As in player/pattern.h."""
    x = x + NUMBER
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)


def check_payloads(buf: Array, offsets: Array, headers: Array) -> Array:
    """Compare every byte with the pattern of its message; the messages' numbers."""
    assert offsets.max() + HEADER.itemsize + headers["kept"][offsets.argmax()] <= len(buf)
    words = buf[: len(buf) & ~7].view(np.uint64)
    kept = headers["kept"].astype(np.int64)
    assert (kept >= 8).all()
    starts = (offsets + HEADER.itemsize) // 8
    numbers: Array = words[starts] * NUMBER_INVERSE
    counts = (kept + 7) // 8
    last = np.cumsum(counts) - 1
    index = np.arange(counts.sum()) - np.repeat(last - counts + 1, counts)
    wanted = np.repeat(words[starts], counts) ^ index.astype(np.uint64) * WORD
    found = words[np.repeat(starts, counts) + index]
    cut = (8 * (counts * 8 - kept)).astype(np.uint64)
    assert not ((wanted[last] ^ found[last]) << cut).any()
    wanted[last] = found[last]
    assert (wanted == found).all()
    return numbers


def check_fields(headers: Array, numbers: Array, mix: str) -> None:
    """Compare peer, direction and type with what the message's number says."""
    drawn = scramble(numbers ^ scramble(np.zeros(1, np.uint64)))
    assert (headers["peer"] == ((drawn & np.uint64(0xFFFFFFFF)) * np.uint64(PEERS) >> np.uint64(32)).astype(np.int64)).all()
    assert (headers["probe"] == np.where(drawn >> np.uint64(32) & np.uint64(1), 0, 1)).all()
    if mix == "normal":
        share = (drawn >> np.uint64(33) & np.uint64(0xFFFFFF)) * np.uint64(1000) >> np.uint64(24)
        types = type_column(list(NORMAL))[np.searchsorted(np.cumsum(list(NORMAL.values())), share, side="right")]
    else:
        types = type_column(list(BIG))[(drawn >> np.uint64(33) & np.uint64(3)).astype(np.int64)]
    assert (headers["type"] == types).all()


def capture(kernel: Any, players: Any, reader: Any, load: list[str], cpus: str) -> Array:
    """Run a load and check every record of it; the process's counters."""
    mix = load[load.index("--mix") + 1]
    numbers: list[Array] = []

    def check(buf: Array, offsets: Array, headers: Array) -> None:
        message = headers["probe"] < 2
        assert (headers["flags"] == 0).all()
        assert (headers["size"][message] == headers["kept"][message]).all()
        if message.any():
            numbers.append(check_payloads(buf, offsets[message], headers[message]))
            check_fields(headers[message], numbers[-1], mix)

    path = players.copy()
    kernel.attach(path)
    process = players.start(path, *load, "--wait-attached", "30", "--no-connections", "--report", "/dev/stdout", cpus=cpus)
    read = reader(kernel, check)
    headers = read.drain(process)
    report = players.report(process)
    (slot,) = read.slots.copy(read.slots.used())
    assert slot["tgid"] == report["pid"]
    assert slot["seen"] == slot["sent"] + slot["dropped"]
    assert slot["sent"] == len(headers)
    assert len(np.unique(headers["seq"])) == len(headers)
    assert headers["seq"].max() < slot["seen"]
    assert (headers["slot"] == read.slots.used()[0]).all()
    described = headers["probe"] == DESCRIBED
    fired = sum(report["fired"].values())
    assert slot["seen"] - fired >= described.sum()  # a description may have been dropped, and tried again
    if not slot["dropped"]:
        assert slot["seen"] == fired + PEERS
    check_order(headers[~described], np.concatenate(numbers))
    return slot


def check_order(messages: Array, numbers: Array) -> None:
    """No message came twice, and those of one thread have rising sequence numbers and times."""
    order = np.argsort(numbers)
    numbers, messages = numbers[order], messages[order]
    assert (numbers[1:] != numbers[:-1]).all()
    same_thread = numbers[1:] >> np.uint64(56) == numbers[:-1] >> np.uint64(56)
    for field in ("seq", "ts"):
        assert (messages[field][1:] > messages[field][:-1])[same_thread].all()


SCALE = float(os.environ.get("PEERWATCH_TEST_SCALE", "1"))
"""Share of the load for slow machines, such as emulated ones; the rate goes down with it."""
NORMAL_LOAD = ["--mix", "normal", "--rate", str(int(100_000 * SCALE)), "--threads", "2"]
BIG_LOAD = ["--mix", "big", "--threads", "2"]
BIG_MEAN = 32_500
SHORT = pytest.param(20, id="short")
WHOLE = pytest.param(1, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(1800)])


@pytest.mark.parametrize("part", [SHORT, WHOLE])
@pytest.mark.parametrize("cpus", ["0", "0,1"])
def test_the_normal_mix_arrives_without_loss(load: Callable[..., Any], players: Any, reader: Any, cpus: str, part: int) -> None:
    """5 M messages of all sizes at 100 k/s from two threads arrive whole and in order, on one CPU and on two."""
    count = int(5_000_000 * SCALE) // part
    kernel = load(256 << 20 if part == 1 else 64 << 20)
    slot = capture(kernel, players, reader, ["--load", str(count), *NORMAL_LOAD], cpus)
    assert slot["dropped"] == 0
    assert slot["sent"] == count + PEERS


@pytest.mark.parametrize("part", [SHORT, WHOLE])
@pytest.mark.parametrize("cpus", ["0", "0,1"])
def test_big_messages_as_fast_as_possible_lap_the_ring(
    load: Callable[..., Any], players: Any, reader: Any, cpus: str, part: int
) -> None:
    """400 k messages of 5 to 60 kB through a small ring: what does not fit is counted, what arrives is whole."""
    kernel = load(1 << 20 if SCALE >= 1 else 128 << 10)
    slot = capture(kernel, players, reader, ["--load", str(int(400_000 * SCALE) // part), *BIG_LOAD], cpus)
    assert slot["sent"] * BIG_MEAN > 3 * kernel.ring_bytes  # laps
    assert slot["dropped"] > 0
    assert slot["dropped_bytes"] >= (slot["dropped"] - PEERS) * 5000


def test_big_messages_at_a_rate_that_can_be_read(load: Callable[..., Any], players: Any, reader: Any) -> None:
    """Laps of big messages at a rate that the reader keeps up with lose nothing."""
    kernel = load(32 << 20)
    count, rate = int(10_000 * SCALE), str(int(2000 * SCALE))
    slot = capture(kernel, players, reader, ["--load", str(count), "--rate", rate, *BIG_LOAD], "0,1")
    assert slot["sent"] == count + PEERS
    assert slot["dropped"] == 0
