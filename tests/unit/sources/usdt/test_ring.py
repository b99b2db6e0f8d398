"""Reading a ring, on a file laid out as the kernel lays out its ring (kernel/bpf/ringbuf.c)."""

from __future__ import annotations

import ast
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peerwatch.sources.usdt import ring as module
from peerwatch.sources.usdt.ring import Ring, RingError
from peerwatch.wire.raw import PAD

PAGE = 4096
FIRST_PAGE = 3
BUSY, DISCARDED = 1 << 31, 1 << 30


class Producer:
    """The kernel's half. The two mappings of the data are two copies here."""

    def __init__(self, fd: int, size: int, begin: int = 0) -> None:
        """Lay out an empty ring in a file."""
        self.fd, self.size, self.end = fd, size, begin
        os.ftruncate(fd, 0)
        os.ftruncate(fd, 2 * PAGE + 2 * size)
        self.position(0, begin)
        self.position(PAGE, begin)

    def position(self, page: int, value: int) -> None:
        """Set the consumer's (page 0) or the producer's position."""
        os.pwrite(self.fd, value.to_bytes(8, "little"), page)

    def put(self, at: int, content: bytes) -> None:
        """Write to both copies, around the end."""
        for i in range(0, len(content), self.size):
            first = (at + i) % self.size
            part = content[i : i + self.size]
            for copy in (0, self.size):
                head = part[: self.size - first]
                os.pwrite(self.fd, head, 2 * PAGE + copy + first)
                os.pwrite(self.fd, part[len(head) :], 2 * PAGE + copy)

    def header(self, at: int, length: int) -> bytes:
        """A record's header, which has the number of its page."""
        return struct.pack("<II", length, FIRST_PAGE + at % self.size // PAGE)

    def write(self, payload: bytes, flag: int = 0) -> int:
        """Append a record; where its header is."""
        at = self.end
        self.put(at, self.header(at, len(payload) | flag) + payload)
        self.end += (8 + len(payload) + 7) & ~7
        self.position(PAGE, self.end)
        return at

    def finish(self, at: int, payload: bytes) -> None:
        """A busy record becomes whole."""
        self.put(at, self.header(at, len(payload)) + payload)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """A file for a ring."""
    opened = os.open(tmp_path / "ring", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


def payloads(ring: Ring, lengths: list[int], max_bytes: int = 1 << 30) -> list[bytes]:
    """Read once; the payloads, whose lengths the caller knows."""
    buf, offsets, _position = ring.read(max_bytes)
    assert len(buf) >= PAD
    assert (np.diff(offsets) > 0).all()
    return [bytes(buf[o : o + n]) for o, n in zip(offsets.tolist(), lengths[: len(offsets)], strict=True)]


def test_records_come_whole_and_once(fd: int) -> None:
    """What was written is read, then nothing, then what was written since."""
    producer = Producer(fd, 1 << 16)
    ring = Ring(fd, producer.size)
    for batch in ([b"a" * 56, b"b" * 57, b"c" * 63], [b"d" * 100]):
        for payload in batch:
            producer.write(payload)
        assert payloads(ring, [len(p) for p in batch]) == batch
        buf, offsets, position = ring.read(1 << 20)
        assert (len(buf), len(offsets), position) == (PAD, 0, producer.end)


def test_a_busy_record_ends_a_read(fd: int) -> None:
    """Nothing behind a record that is still being written is read before it, however whole it is."""
    producer = Producer(fd, 1 << 16)
    ring = Ring(fd, producer.size)
    producer.write(b"1" * 64)
    busy = producer.write(b"?" * 64, BUSY)
    producer.write(b"3" * 64)
    assert payloads(ring, [64]) == [b"1" * 64]
    assert ring.position == busy
    assert payloads(ring, []) == []
    producer.finish(busy, b"2" * 64)
    assert payloads(ring, [64, 64]) == [b"2" * 64, b"3" * 64]


def test_discarded_records_are_passed_over(fd: int) -> None:
    """They take their place in the ring, and give no offset."""
    producer = Producer(fd, 1 << 16)
    ring = Ring(fd, producer.size)
    for payload, flag in ((b"x" * 80, DISCARDED), (b"1" * 64, 0), (b"y" * 800, DISCARDED), (b"2" * 64, 0), (b"z" * 8, DISCARDED)):
        producer.write(payload, flag)
    assert payloads(ring, [64, 64]) == [b"1" * 64, b"2" * 64]
    assert ring.position == producer.end


def test_the_kernel_gets_memory_back_when_it_is_published(fd: int) -> None:
    """Reading does not move the consumer's position; publishing does, and only over what was read."""
    producer = Producer(fd, 1 << 16)
    ring = Ring(fd, producer.size)
    producer.write(b"1" * 64)
    _buf, _offsets, position = ring.read(1 << 20)
    assert (ring.published, ring.position, ring.produced) == (0, position, position)
    with pytest.raises(ValueError, match="not between"):
        ring.publish(position + 8)
    ring.publish(position)
    assert os.pread(fd, 8, 0) == position.to_bytes(8, "little")
    with pytest.raises(ValueError, match="not between"):
        ring.publish(position - 8)


def test_a_new_reader_goes_on_where_the_last_published(fd: int) -> None:
    """What was read and not published is read again."""
    producer = Producer(fd, 1 << 16, begin=40 << 16)
    first = Ring(fd, producer.size)
    for payload in (b"1" * 64, b"2" * 64):
        producer.write(payload)
        _buf, _offsets, position = first.read(1 << 20)
        first.publish(position if payload[0] == ord("1") else first.published)
    assert payloads(Ring(fd, producer.size), [64]) == [b"2" * 64]


@pytest.mark.parametrize("begin", [0, 7 << 16, (7 << 16) - 200, (1 << 62) - 8])
def test_a_recorded_position_counts_where_a_record_ends(fd: int, begin: int) -> None:
    """It may be ahead of the published one, around the ring's end too; anywhere else it is of another ring, and ignored."""
    producer = Producer(fd, 1 << 16, begin)
    for i in range(10):
        producer.write(bytes([i]) * 50)
    ends = range(begin, producer.end + 1, 64)
    for position in (*range(begin - 16, producer.end + 80, 8), 0, producer.end + (1 << 20)):
        known = position if position in ends else begin
        assert Ring(fd, producer.size, position).position == known
    producer.write(b"busy", BUSY)
    producer.write(b"whole")
    assert Ring(fd, producer.size, producer.end).position == begin


def test_reads_are_bounded_and_never_empty_while_there_is_something(fd: int) -> None:
    """Records that begin within the bound are read, so one larger than it comes alone."""
    producer = Producer(fd, 1 << 16)
    lengths = [56, 20000, 56, 56]
    for length in lengths:
        producer.write(b"x" * length)
    ring = Ring(fd, producer.size)
    assert [len(ring.read(64)[1]) for _ in range(5)] == [1, 1, 1, 1, 0]
    again = Ring(fd, producer.size)
    assert [len(again.read(65)[1]) for _ in range(3)] == [2, 2, 0]


def test_a_record_beyond_what_was_written_is_an_error(fd: int) -> None:
    """A length that leads out of the written part is no record."""
    producer = Producer(fd, 1 << 16)
    at = producer.write(b"x" * 64)
    producer.put(at, producer.header(at, 72))
    with pytest.raises(RingError, match="beyond the 72 bytes"):
        Ring(fd, producer.size).read(1 << 20)


def hostile(number: int, at: int, size: int, length: int) -> bytes:
    """A payload that imitates headers: of its page and others, whole, busy and discarded ones, with plausible lengths."""
    rng = np.random.default_rng([number, at, length])
    pages = FIRST_PAGE + (at % size // PAGE + rng.integers(0, 2, length // 8 + 1)) % (size // PAGE)
    lengths = rng.choice([0, 8, 48, 56, 64, length, 1 << 29], len(pages)) | rng.choice([0, 0, BUSY, DISCARDED], len(pages))
    return np.stack([lengths, pages], axis=1).astype("<u4").tobytes()[:length]


@pytest.mark.parametrize("large", [0, 1024, 1 << 30], ids=["follow", "both", "search"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_payloads_are_never_taken_for_headers(fd: int, large: int, data: st.DataObject) -> None:
    """Over several laps of hostile payloads, busy and discarded records: exactly what was written, whichever way it is walked."""
    size = data.draw(st.sampled_from([PAGE, 4 * PAGE, 16 * PAGE]))
    producer = Producer(fd, size, data.draw(st.sampled_from([0, 3 * size - 64, 1 << 50])))
    ring = Ring(fd, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LARGE", large)
        patch.setattr(module, "_BLOCK", data.draw(st.sampled_from([512, PAGE, 256 << 10])))
        waiting: list[tuple[bytes, int]] = []
        for number in range(data.draw(st.integers(1, 40))):
            length = data.draw(st.integers(0, 200) | st.integers(0, size // 3))
            flag = data.draw(st.sampled_from([0, 0, 0, BUSY, DISCARDED]))
            payload = hostile(number, producer.end, size, length)
            if producer.end + length + 15 - ring.published > size:
                read_all(producer, ring, waiting, data.draw(st.sampled_from([64, 1000, 1 << 20])))
            at = producer.write(payload, flag)
            if flag != DISCARDED:
                waiting.append((payload, at if flag == BUSY else -1))
        read_all(producer, ring, waiting, 1 << 20)


def read_all(producer: Producer, ring: Ring, waiting: list[tuple[bytes, int]], max_bytes: int) -> None:
    """Read up to each busy record, finish it, go on; compare, and publish."""
    while True:
        buf, offsets, position = ring.read(max_bytes)
        for offset in offsets.tolist():
            payload, busy = waiting.pop(0)
            assert busy < 0
            assert bytes(buf[offset : offset + len(payload)]) == payload
        ring.publish(position)
        if not len(offsets) and position == producer.end:
            break
        if not len(offsets) and waiting and waiting[0][1] >= 0:
            payload, at = waiting[0]
            producer.finish(at, payload)
            waiting[0] = (payload, -1)
    assert waiting == []


@pytest.mark.parametrize("name", ["ring", "slots"])
def test_readers_need_no_libbpf(name: str) -> None:
    """The unprivileged half imports nothing of the privileged one."""
    source = Path(module.__file__).with_name(f"{name}.py").read_text()
    imported = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name and name.startswith("peerwatch")} <= {
        "peerwatch.schema.batch",
        "peerwatch.wire.raw",
    }


def test_both_walks_agree_on_many_small_records(fd: int) -> None:
    """A megabyte of records of all lengths is walked alike by searching and by following."""
    producer = Producer(fd, 1 << 20)
    at = producer.end
    content = bytearray()
    offsets = []
    for i in range(9000):
        length = 56 + i % 59
        offsets.append(at + 8)
        content += (producer.header(at, length) + bytes([i % 256]) * length).ljust((length + 15) & ~7, b"\0")
        at = len(content)
    producer.put(0, bytes(content))
    producer.end = len(content)
    producer.position(PAGE, producer.end)
    for large in (0, 1 << 30):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_LARGE", large)
            buf, found, _position = Ring(fd, producer.size).read(1 << 30)
        assert found.tolist() == offsets
        assert bytes(buf[:-PAD]) == bytes(content)


def test_a_full_ring_is_read_to_its_very_end(fd: int) -> None:
    """Also where there is no byte of the two mappings left behind the last record: what is read has its padding all the same."""
    producer = Producer(fd, 1 << 16)
    ring = Ring(fd, producer.size)
    producer.write(b"a" * (producer.size - 24))  # leaves 16 bytes at the end of the first mapping
    assert payloads(ring, [producer.size - 24]) == [b"a" * (producer.size - 24)]
    ring.publish(ring.position)
    for part in (b"b" * 8, b"c" * (producer.size - 24)):
        producer.write(part)
    buf, offsets, _position = ring.read(1 << 30)
    assert [bytes(buf[o : o + n]) for o, n in zip(offsets.tolist(), (8, producer.size - 24), strict=True)] == [
        b"b" * 8,
        b"c" * (producer.size - 24),
    ]
    assert len(buf) == producer.size + PAD
