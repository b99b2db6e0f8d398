"""Generated load: every byte of every message follows from its number."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peerwatch.schema.batch import Array
from peerwatch.sources.simulation.events import NUMBER, Events, Name
from peerwatch.sources.simulation.playreader import Played, PlayReader

Reports = list[dict[str, Any]]
SECOND = 1_000_000_000
BY_NUMBER, BY_WORD = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03


def pattern(number: int, size: int) -> bytes:
    """The payload of message `number`, as documented."""
    words = -(-size // 8)
    return b"".join((number * BY_NUMBER % 2**64 ^ w * BY_WORD % 2**64).to_bytes(8, "little") for w in range(words))[:size]


def recorded(path: Path) -> Played:
    """Everything in a small play file."""
    [played] = PlayReader(io.BytesIO(path.read_bytes()))
    return played


def messages(played: Played) -> Events:
    return played.events.take(np.flatnonzero(played.events.messages()))


def first_words(events: Events) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(events.bodies.buf, 8)
    return windows[events.bodies.start].copy().view("<u8")[:, 0]


@pytest.mark.parametrize("mix", ["normal", "big", "0", "5", "8", "61"])
def test_every_byte_of_a_payload_follows_from_its_number(play: Callable[..., Reports], tmp_path: Path, mix: str) -> None:
    """Numbers are counted per thread from 0, the thread in the upper byte; words and the cut last one are as documented."""
    path = tmp_path / "load.play"
    play("--load", 90, "--rate", 1000, "--threads", 3, "--mix", mix, "--record", path)
    played = recorded(path)
    events = messages(played)
    expected = [pattern(i % 3 << 56 | i // 3, n) for i, n in enumerate(events.bodies.size.tolist())]
    pieces = events.bodies
    assert [pieces.buf[a : a + n].tobytes() for a, n in zip(pieces.start, pieces.size, strict=True)] == expected
    assert played.thread[-90:].tolist() == [0, 1, 2] * 30
    assert np.diff(events.head["ts"]).tolist() == pytest.approx([SECOND // 1000] * 89, abs=1)


def test_the_first_word_gives_the_number_back(play: Callable[..., Reports], tmp_path: Path) -> None:
    """The factor is odd, so it has an inverse; in the normal mix every message is long enough for its number."""
    path = tmp_path / "load.play"
    play("--load", 5000, "--rate", 1000, "--threads", 2, "--record", path)
    numbers = first_words(messages(recorded(path))) * np.uint64(pow(BY_NUMBER, -1, 2**64))
    assert sorted(numbers.tolist()) == [*range(2500), *(1 << 56 | n for n in range(2500))]


def test_a_message_depends_on_its_number_and_the_seed_alone(play: Callable[..., Reports], tmp_path: Path) -> None:
    """Peer, direction, type and size are the same in every run, and others with another seed."""

    def of_thread_0(*options: object) -> list[tuple[Any, ...]]:
        path = tmp_path / "load.play"
        play("--rate", 1000, "--record", path, *options)
        played = recorded(path)
        mine = messages(played).head[played.thread[-len(messages(played)) :] == 0]
        return mine[["probe", "peer", "type", "size"]].tolist()

    whole = of_thread_0("--load", 1000)
    assert of_thread_0("--load", 2000, "--threads", 2) == whole
    assert of_thread_0("--load", 1000, "--seed", 1) != whole


def test_the_normal_mix_has_its_shares(play: Callable[..., Reports]) -> None:
    """Half of all is inv, and so on; each share within 4 standard deviations of chance, both directions alike."""
    count = 400_000
    [report] = play("--load", count, "--threads", 2)
    both = [report["messages"][d] for d in ("inbound", "outbound")]
    seen: Counter[str] = Counter()
    for direction in both:
        seen.update({t: c["count"] for t, c in direction.items()})
    assert sum(seen.values()) == count
    shares = {"inv": 0.5, "getdata": 0.12, "tx": 0.12, "addrv2": 0.05, "ping": 0.05, "pong": 0.05, "headers": 0.03}
    shares |= {"feefilter": 0.02, "notfound": 0.02, "addr": 0.01, "version": 0.003}
    for name, share in shares.items():
        assert seen[name] == pytest.approx(count * share, abs=4 * (count * share * (1 - share)) ** 0.5)
    assert sum(c["count"] for c in both[0].values()) == pytest.approx(count / 2, abs=2 * count**0.5)


@pytest.mark.parametrize(("mix", "least", "most"), [("normal", 8, 36_003), ("big", 5000, 60_000), ("777", 777, 777)])
def test_sizes_stay_within_their_mix(play: Callable[..., Reports], tmp_path: Path, mix: str, least: int, most: int) -> None:
    """No message is smaller or larger than the mix says, and both ends are nearly reached."""
    path = tmp_path / "load.play"
    play("--load", 5000, "--rate", 1000, "--mix", mix, "--no-connections", "--record", path)
    size = np.concatenate([p.events.bodies.size for p in PlayReader(io.BytesIO(path.read_bytes()))])
    assert (size.min(), size.max()) == pytest.approx((least, most), rel=0.01)


def test_peers_are_announced_once_before_their_messages(play: Callable[..., Reports], tmp_path: Path) -> None:
    """125 peers, 10 of them outbound, with addresses from the ranges for documentation and one onion; unless told not to."""
    path = tmp_path / "load.play"
    [report] = play("--load", 1000, "--rate", 1000, "--record", path)
    assert (report["fired"]["net:inbound_connection"], report["fired"]["net:outbound_connection"]) == (115, 10)
    played = recorded(path)
    opened = played.events.head[:125]
    assert opened["peer"].tolist() == list(range(125))
    assert set(opened["probe"].tolist()) == {NUMBER["net:inbound_connection"], NUMBER["net:outbound_connection"]}
    names = list(played.names.values())
    assert len({n.address for n in names}) == len(names)
    for prefix, n in ((b"203.0.113.", 80), (b"[2001:db8::", 25), (b"obswk4tx", 1)):
        assert sum(name.address.startswith(prefix) for name in names) >= n
    assert {n.conn_type for n in names} == {b"inbound", b"outbound-full-relay", b"block-relay-only"}
    [report] = play("--load", 10, "--no-connections")
    assert sum(report["fired"].values()) == 10


def test_a_message_carries_the_name_that_was_announced(play: Callable[..., Reports], tmp_path: Path) -> None:
    """Address and connection type are the same at the connection and at every message."""
    path = tmp_path / "load.play"
    play("--load", 2000, "--rate", 1000, "--peers", 300, "--record", path)
    played = recorded(path)
    bodies = played.events.bodies
    announced = {}
    for i in range(300):
        body = bodies.buf[bodies.start[i] : bodies.start[i] + bodies.size[i]].tobytes()
        announced[i] = Name(body[8:80].rstrip(b"\0"), body[80:104].rstrip(b"\0"))
    assert len(played.names) > 290
    assert played.names.items() <= announced.items()


@pytest.mark.parametrize("messages", [1000, 0])
def test_coins_are_fired_to_the_last(play: Callable[..., Reports], messages: int) -> None:
    """N of each kind, whatever the number of messages."""
    [report] = play("--load", messages, "--coins", 4321, "--threads", 2)
    assert [report["fired"][f"utxocache:{n}"] for n in ("add", "spent", "uncache", "flush")] == [4321, 4321, 4321, 0]


@pytest.mark.parametrize("cpus", ["0", "0,1"])
def test_a_rate_is_kept_by_two_threads(binaries: Path, cpus: str) -> None:
    """150 000 messages at 100 000 a second take a second and a half, also when both threads share a CPU; never less."""
    command = ["taskset", "-c", cpus, binaries / "peerwatch-player", "--load", "150000", "--rate", "100000", "--threads", "2"]
    report = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert report["fired"]["net:inbound_message"] + report["fired"]["net:outbound_message"] == 150_000
    assert 1.499 <= report["elapsed_ns"] / SECOND < 6


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGUSR1, signal.SIGTERM]])
def test_signals_end_it_or_ask_for_a_report(binaries: Path, tmp_path: Path, signals: list[signal.Signals]) -> None:
    """SIGTERM and SIGINT stop it cleanly, SIGUSR1 does not; each gives a report of what was fired until then."""
    command = [binaries / "peerwatch-player", "--load", "forever", "--rate", "10000", "--pid-file", tmp_path / "pid"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
        for number in signals:
            time.sleep(0.3)
            process.send_signal(number)
        reports = [json.loads(line) for line in process.communicate(timeout=30)[0].splitlines()]
    assert process.returncode == 0
    assert [r["ended"] for r in reports] == [None] * (len(signals) - 1) + ["stopped"]
    for report in reports:
        fired = report["fired"]["net:inbound_message"] + report["fired"]["net:outbound_message"]
        assert 0 < fired <= report["elapsed_ns"] / SECOND * 10_000 + 1
        assert report["pid"] == process.pid


def test_a_slow_load_stops_at_once(binaries: Path, tmp_path: Path) -> None:
    """A signal is heard while a thread sleeps until its next message, an hour away."""
    command = [binaries / "peerwatch-player", "--load", "10", "--rate", "0.0003", "--pid-file", tmp_path / "pid"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
        process.terminate()
        assert json.loads(process.communicate(timeout=10)[0])["ended"] == "stopped"


def test_restarted_load_goes_on_with_the_next_numbers(binaries: Path, tmp_path: Path) -> None:
    """All processes together fire the load once, with each thread's numbers and the coins going on; peers connect again."""
    pid, report = tmp_path / "pid", tmp_path / "report"
    command = [binaries / "peerwatch-player", "--load", "90000", "--rate", "60000", "--threads", "3", "--coins", "1000"]
    with subprocess.Popen([*command, "--pid-file", pid, "--report", report]):
        for _ in range(3):
            time.sleep(0.35)
            os.kill(int(pid.read_text()), signal.SIGHUP)
    deadline = time.monotonic() + 30
    reports: Reports = []
    while not reports or reports[-1]["successor"] is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        reports = [json.loads(line) for line in report.read_text().splitlines()]
    total = sum((Counter(r["fired"]) for r in reports), Counter())
    assert [r["ended"] for r in reports] == ["restart"] * 3 + ["done"]
    assert len({r["pid"] for r in reports}) == 4
    assert total["net:inbound_message"] + total["net:outbound_message"] == 90_000
    assert total["utxocache:add"] == 1000
    assert total["net:inbound_connection"] == 4 * 115
