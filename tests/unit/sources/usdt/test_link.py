"""The link between tracer and watcher, over real sockets."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from peerwatch.sources.usdt import link as link_module
from peerwatch.sources.usdt.link import (
    MAX_PACKET,
    PROTOCOL,
    Blind,
    Exited,
    Hello,
    Link,
    LinkClosedError,
    LinkError,
    Process,
    Recorded,
    Who,
    accept,
    connect,
    listen,
    pair,
    requests,
    send,
)
from peerwatch.sources.usdt.nodes import MAX_REASON
from peerwatch.sources.usdt.probes import PROBES
from peerwatch.sources.usdt.processes import shown

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

HELLO = Hello(PROTOCOL, 1_700_000_000_000_000_000, 1 << 20)
PROCESS = Process(1, 100, 3, True, "key", "alice", 5, 4, "started", "/usr/bin/bitcoind", "main", ("net:inbound_message",))
FACTS = [PROCESS, Exited(2, 100, 3, "key", "alice", 5, 9), Blind(3, 9, 8, 9, "mempool:added", None, None, "why")]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Link]]:
    """The tracer's socket and the watcher's link."""
    ours, theirs = pair()
    link = Link(theirs)
    yield ours, link
    ours.close()
    link.close()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    """Three open files that hold 0, 1 and 2."""
    opened = []
    for number in range(3):
        path = tmp_path / str(number)
        path.write_text(str(number))
        opened.append(os.open(path, os.O_RDONLY))
    yield opened
    for descriptor in opened:
        os.close(descriptor)


def descriptors_in_use() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def raw(sock: socket.socket, packet: bytes, descriptors: list[int] | None = None) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"={len(descriptors)}i", *descriptors))] if descriptors else []
    sock.sendmsg([packet], rights)


def test_descriptors_pass(ends: tuple[socket.socket, Link], files: list[int]) -> None:
    """The watcher gets descriptors of the same files, closed on exec, and they go with the link."""
    tracer, link = ends
    before = descriptors_in_use()
    assert send(tracer, HELLO, files)
    assert link.receive(1) == HELLO
    got = link.descriptors
    assert [os.pread(descriptor, 1, 0) for descriptor in got] == [b"0", b"1", b"2"]
    assert not set(got) & set(files)
    assert not any(os.get_inheritable(descriptor) for descriptor in got)
    link.close()
    assert descriptors_in_use() == before - 1
    with pytest.raises(LinkError, match="hello"):
        _ = link.descriptors
    link.close()


def test_facts_arrive_in_order_as_they_were(ends: tuple[socket.socket, Link], files: list[int]) -> None:
    """Every fact is the same on the other side; nothing more comes."""
    tracer, link = ends
    send(tracer, HELLO, files)
    for fact in FACTS:
        assert send(tracer, fact)
    assert [link.receive(1) for _ in range(4)] == [HELLO, *FACTS]
    assert link.receive(0) is None
    assert link.receive(0.01) is None


def test_requests_arrive(ends: tuple[socket.socket, Link]) -> None:
    """What the watcher asks and says reaches the tracer, as many at once as it takes."""
    tracer, link = ends
    sent = [Who(3), Recorded(17), Recorded(0)]
    for request in sent:
        assert link.send(request)
    assert list(requests(tracer, 2)) == sent[:2]
    assert list(requests(tracer)) == sent[2:]


def test_the_end_of_one_is_noticed_by_the_other(ends: tuple[socket.socket, Link]) -> None:
    """A closed end is an error of its own kind, for reading and for writing."""
    tracer, link = ends
    tracer.close()
    with pytest.raises(LinkClosedError):
        link.receive(1)
    with pytest.raises(LinkClosedError):
        link.send(Who(0))
    ours, theirs = pair()
    theirs.close()
    with ours:
        with pytest.raises(LinkClosedError):
            list(requests(ours))
        with pytest.raises(LinkClosedError):
            send(ours, HELLO)


def test_a_watcher_that_does_not_read_holds_nobody_up(ends: tuple[socket.socket, Link]) -> None:
    """When there is no room, sending says so instead of waiting."""
    tracer, _ = ends
    taken = sum(1 for _ in range(100_000) if send(tracer, FACTS[2]))
    assert 10 < taken < 100_000


BAD = {
    "not JSON": b"\xff\xfe",
    "no tag": b"{}",
    "unknown tag": b'{"type":"other"}',
    "extra field": b'{"type":"who","slot":1,"more":1}',
    "slot out of range": b'{"type":"who","slot":65536}',
    "negative": b'{"type":"recorded","number":-1}',
    "too great": b'{"type":"recorded","number":9223372036854775808}',
    "wrong type": b'{"type":"recorded","number":"1"}',
    "the tracer's": msgspec.json.encode(FACTS[1]),
    "deep": b"[" * 10_000,
}


@pytest.mark.parametrize("packet", BAD.values(), ids=BAD.keys())
def test_malformed_requests_are_refused(ends: tuple[socket.socket, Link], packet: bytes) -> None:
    """Whatever a watcher sends that is no request is an error, and never anything else."""
    tracer, link = ends
    link._sock.send(packet)
    with pytest.raises(LinkError, match="no request"):
        list(requests(tracer))


def test_too_much_is_refused(ends: tuple[socket.socket, Link], files: list[int]) -> None:
    """An overlong packet, and descriptors where none belong, end the link; nothing is left open."""
    tracer, link = ends
    link._sock.send(b" " * (MAX_PACKET + 1))
    with pytest.raises(LinkError, match="too much"):
        list(requests(tracer))
    before = descriptors_in_use()
    raw(link._sock, b'{"type":"who","slot":1}', files)
    with pytest.raises(LinkError, match="too much"):
        list(requests(tracer))
    assert descriptors_in_use() == before


@pytest.mark.parametrize(
    ("packet", "count", "message"),
    [
        (msgspec.json.encode(PROCESS), 0, "begin with hello"),
        (msgspec.json.encode(HELLO), 0, "begin with hello"),
        (msgspec.json.encode(HELLO), 2, "begin with hello"),
        (msgspec.json.encode(HELLO), 4, "begin with hello"),
        (msgspec.json.encode(HELLO), 5, "too much"),
        (b"nonsense", 3, "no message"),
        (b" " * (MAX_PACKET + 1), 3, "too much"),
        (msgspec.json.encode(Hello(PROTOCOL + 1, 0, 0)), 3, "restart both"),
    ],
    ids=["fact first", "no descriptors", "too few", "too many", "far too many", "nonsense", "overlong", "other protocol"],
)
def test_a_watcher_takes_nothing_malformed(
    ends: tuple[socket.socket, Link], files: list[int], packet: bytes, count: int, message: str
) -> None:
    """A tracer that breaks the protocol is an error, and its descriptors are closed."""
    tracer, link = ends
    before = descriptors_in_use()
    raw(tracer, packet, (files * 2)[:count])
    with pytest.raises(LinkError, match=message):
        link.receive(1)
    assert descriptors_in_use() == before


def test_a_second_hello_is_refused(ends: tuple[socket.socket, Link], files: list[int]) -> None:
    """Descriptors are not exchanged under a running watcher."""
    tracer, link = ends
    send(tracer, HELLO, files)
    link.receive(1)
    before = descriptors_in_use()
    send(tracer, HELLO, files)
    with pytest.raises(LinkError, match="twice"):
        link.receive(1)
    assert descriptors_in_use() == before


def test_a_message_that_is_too_big_is_not_sent(ends: tuple[socket.socket, Link]) -> None:
    """The bound is the sender's, too."""
    tracer, _ = ends
    with pytest.raises(LinkError, match="too big"):
        send(tracer, Blind(1, 1, 1, 1, None, None, None, "x" * MAX_PACKET))


def test_the_worst_fact_fits_in_a_packet(ends: tuple[socket.socket, Link], files: list[int]) -> None:
    """A binary with the longest names and reasons that are let through cannot keep its process from being told."""
    tracer, link = ends
    reasons = {probe.full_name: shown("\\" * 9999, MAX_REASON) for probe in PROBES}
    path = shown("\\" * 9999)
    names = tuple(reasons)
    worst = Process(1 << 62, 1 << 31, 65535, True, path, path, 1, 1, "started", path, "testnet4", names, reasons, (1, 2), path)
    send(tracer, HELLO, files)
    assert send(tracer, worst)
    link.receive(1)
    assert link.receive(1) == worst


@pytest.fixture
def folder(outside: Path) -> Path:
    """A closed folder for a socket."""
    folder = outside / "run"
    folder.mkdir(mode=0o750)
    return folder


def test_two_units_meet_at_a_socket(folder: Path, files: list[int]) -> None:
    """A watcher that connects gets the descriptors like one that was forked; after it another can come."""
    path = folder / "tracer.sock"
    with listen(path) as listener:
        assert path.stat().st_mode & 0o777 == 0o600
        assert accept(listener) is None
        for _ in range(2):
            link = Link(connect(path))
            sock = accept(listener)
            assert sock is not None
            with sock:
                send(sock, HELLO, files)
                assert link.receive(1) == HELLO
                assert os.pread(link.descriptors.control, 1, 0) == b"2"
                link.close()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o751])
def test_an_open_folder_is_refused(folder: Path, mode: int) -> None:
    """Where others could come in or put a socket of their own, nothing listens."""
    folder.chmod(mode)
    with pytest.raises(LinkError, match="closed to others"):
        listen(folder / "tracer.sock")


@root_only
def test_somebody_elses_folder_is_refused(folder: Path) -> None:
    """Its owner could replace the socket."""
    os.chown(folder, 30125, 30125)
    with pytest.raises(LinkError, match="belong to this user"):
        listen(folder / "tracer.sock")


def test_a_second_tracer_is_refused_and_a_dead_ones_socket_is_not(folder: Path) -> None:
    """What a crash leaves behind does not matter; a living tracer does."""
    path = folder / "tracer.sock"
    with listen(path), pytest.raises(LinkError, match="another tracer"):
        listen(path)
    assert path.exists()
    listen(path).close()


def test_a_path_that_is_no_socket_stays(folder: Path) -> None:
    """A file in the way is not removed."""
    (folder / "tracer.sock").write_text("mine")
    with pytest.raises(LinkError, match="cannot listen"):
        listen(folder / "tracer.sock")
    assert (folder / "tracer.sock").read_text() == "mine"


def test_without_a_tracer_connecting_fails(folder: Path) -> None:
    """Neither a missing socket nor one that nobody listens at gives a link."""
    path = folder / "tracer.sock"
    with pytest.raises(LinkClosedError, match="no tracer"):
        connect(path)
    listen(path).close()
    with pytest.raises(LinkClosedError, match="no tracer"):
        connect(path)


@root_only
@pytest.mark.parametrize(("uid", "groups", "welcome"), [(30126, [4242], True), (30126, [], False), (0, [], True)])
def test_only_the_group_may_connect(
    folder: Path,
    in_child: Callable[..., Any],
    uid: int,
    groups: list[int],
    welcome: bool,  # noqa: FBT001 - a table
) -> None:
    """A watcher of another user is let in when it is in the socket's group; the kernel's word counts, not the path's."""
    path = folder / "tracer.sock"
    with listen(path, group=4242) as listener:
        assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (0o660, 4242)
        path.chmod(0o666)  # as if the permissions had been loosened
        folder.chmod(0o755)

        def body() -> bool:
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                sock.connect(str(path))
            return True

        assert in_child(body)
        if welcome:
            sock = accept(listener, 4242)
            assert sock is not None
            sock.close()
        else:
            with pytest.raises(LinkError, match="turned away"):
                accept(listener, 4242)


@root_only
def test_a_stranger_in_the_tracers_place_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher does not map the memory of somebody who is neither root, nor itself, nor the folder's owner."""
    path = folder / "tracer.sock"
    with listen(path):
        monkeypatch.setattr(link_module, "_peer", lambda _sock: (30127, set()))
        before = descriptors_in_use()
        with pytest.raises(LinkError, match="served by user 30127"):
            connect(path)
        assert descriptors_in_use() == before
