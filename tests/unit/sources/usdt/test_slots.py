"""Mapped counters and limits, on files of the maps' size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peerwatch.sources.usdt.slots import CONTROL, MAX_LIMIT, MAX_LIMITS, MAX_SLOTS, SLOT, TYPE_BYTES, Control, Slots
from peerwatch.wire.raw import KNOWN_TYPES


def mapped_file(path: Path, size: int) -> int:
    """A file of zeros in place of a map."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.truncate(fd, -(-size // 4096) * 4096)
    return fd


@pytest.fixture
def control_fd(tmp_path: Path) -> Iterator[int]:
    """In place of the `control` map."""
    fd = mapped_file(tmp_path / "control", CONTROL.itemsize)
    yield fd
    os.close(fd)


def limit_of(fd: int, name: str, *, sent: bool = False) -> int:
    """As BPF looks it up: one place, compared whole, clamped (`capture_limit` in trace.bpf.c)."""
    content = np.frombuffer(os.pread(fd, CONTROL.itemsize, 0), CONTROL)[0]
    limits = content["limits"][int(content["active"]) & 1]
    raw = name.encode().ljust(16, b"\0")
    low, high = int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")
    place = (((low ^ high << 13) * int(limits["multiplier"])) % 2**64) >> 54
    entry = limits["table"][place]
    return min(int(entry["limit"][int(sent)] if entry["type"].tolist() == [low, high] else limits["other"]), MAX_LIMIT)


def test_every_type_finds_its_own_limit(control_fd: int) -> None:
    """Each known type can have a limit of its own, the similar ones too; any other type has the default."""
    limits = {name: 1000 + i for i, name in enumerate(KNOWN_TYPES)}
    Control(control_fd).set_limits(limits, 7)
    assert {name: limit_of(control_fd, name) for name in limits} == limits
    assert [limit_of(control_fd, name) for name in ("x", "block2", "getblock", "zzzzzzzzzzzz")] == [7] * 4


def test_limits_replace_each_other_completely(control_fd: int) -> None:
    """New limits forget the old ones, and the table in use is never the one that is written."""
    control = Control(control_fd)
    for round_number in range(4):
        before = os.pread(control_fd, CONTROL.itemsize, 0)
        active = int(np.frombuffer(before, CONTROL)[0]["active"])
        control.set_limits({f"type{round_number}": 5}, 9)
        after = np.frombuffer(os.pread(control_fd, CONTROL.itemsize, 0), CONTROL)[0]
        assert after["active"] != active
        assert after["limits"][active].tobytes() == np.frombuffer(before, CONTROL)[0]["limits"][active].tobytes()
        assert [limit_of(control_fd, f"type{i}") for i in range(4)] == [5 if i == round_number else 9 for i in range(4)]


def test_without_limits_everything_has_the_default(control_fd: int) -> None:
    """No type at all is a valid table; nothing is kept of anything until limits are set."""
    assert limit_of(control_fd, "inv") == 0
    Control(control_fd).set_limits({})
    assert limit_of(control_fd, "inv") == MAX_LIMIT


def test_messages_sent_may_have_smaller_limits(control_fd: int) -> None:
    """What the node itself sent is cut at its own limit where there is one, and else like what it received."""
    Control(control_fd).set_limits({"block": 50, "tx": 60}, 7, {"block": 5, "nothing": 1})
    found = [(limit_of(control_fd, name), limit_of(control_fd, name, sent=True)) for name in ("block", "tx", "nothing")]
    assert found == [(50, 5), (60, 60), (7, 7)]


def test_limits_are_clamped(control_fd: int) -> None:
    """Whatever is asked for, no limit exceeds what BPF can keep."""
    Control(control_fd).set_limits({"block": 1 << 70}, 1 << 63)
    assert limit_of(control_fd, "block") == limit_of(control_fd, "inv") == MAX_LIMIT


@pytest.mark.parametrize(
    ("limits", "default"),
    [
        ({"block": -1}, 0), ({}, -1), ({"": 1}, 0), ({"x" * (TYPE_BYTES + 1): 1}, 0), ({"a\0b": 1}, 0), ({"\u00e9" * 7: 1}, 0),
        ({f"t{i}": 1 for i in range(MAX_LIMITS + 1)}, 0),
    ],
)  # fmt: skip
def test_impossible_limits_are_refused(control_fd: int, limits: dict[str, int], default: int) -> None:
    """Negative limits, texts that are no message types, and too many of them leave the old limits in force."""
    control = Control(control_fd)
    control.set_limits({"block": 3}, 4)
    with pytest.raises(ValueError, match=r"limits|message type"):
        control.set_limits(limits, default)
    assert (limit_of(control_fd, "block"), limit_of(control_fd, "inv")) == (3, 4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.dictionaries(st.text("abcd", min_size=1, max_size=12), st.integers(0, 99), max_size=MAX_LIMITS))
def test_any_types_find_their_limits(control_fd: int, limits: dict[str, int]) -> None:
    """The hash is perfect for whatever types are chosen, up to the documented number."""
    Control(control_fd).set_limits(limits, 100)
    assert {name: limit_of(control_fd, name) for name in limits} == limits


def test_ring_identity_and_unassigned(control_fd: int) -> None:
    """What one process writes another reads."""
    Control(control_fd).ring_id = (1 << 56) - 3
    os.pwrite(control_fd, (12).to_bytes(8, "little"), 0)
    assert Control(control_fd).ring_id == (1 << 56) - 3
    assert Control(control_fd).unassigned == 12


def test_slots_show_what_is_counted(tmp_path: Path) -> None:
    """Used slots are those with a process; live counters move, copies do not; nothing can be written."""
    fd = mapped_file(tmp_path / "slots", MAX_SLOTS * SLOT.itemsize)
    slots = Slots(fd)
    assert slots.used().tolist() == []
    row = np.zeros((), SLOT)
    for number, seen in ((0, 5), (MAX_SLOTS - 1, 6)):
        row["tgid"], row["seen"], row["sent"] = 1000 + number, seen, seen - 1
        os.pwrite(fd, row.tobytes(), number * SLOT.itemsize)
    used = slots.used()
    copied = slots.copy(used)
    row["seen"] = 99
    os.pwrite(fd, row.tobytes(), 0)
    assert used.tolist() == [0, MAX_SLOTS - 1]
    assert copied["seen"].tolist() == [5, 6]
    assert slots.live["seen"][0] == 99
    with pytest.raises(ValueError, match="read-only"):
        slots.live["seen"][0] = 0
    os.close(fd)
