"""Signs in the address messages of a peer."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.detect.gossip import ENTRIES, Gossip, Limits, Signs
from peerwatch.detect.limiter import Limiter
from peerwatch.schema.batch import Rows
from tests.builders import START, Stream, at, honest_addresses, mapped, uniform_addresses

LIMITS = Limits(0.001, 1e-6, 0.2, 20, 20, 0.9, 0.3)


@pytest.fixture
def rng():
    """Randomness that is the same every time."""
    return np.random.default_rng(4)


def look(stream: Stream, *, second: int = START) -> tuple[Signs, Gossip, np.ndarray]:
    """Signs of peer 1 after a stream that is taken as one second."""
    limiter = Limiter(8)
    gossip = Gossip(limiter.peers, LIMITS)
    rows = {name: Rows(table) for name, table in stream.tables().items()}
    if "version" in rows:
        gossip.clocks(rows["version"])
    offer = limiter.update(rows)
    assert offer is not None
    gossip.update(offer, rows)
    slot = np.array([limiter.peers.slot(1)])
    gossip.settle(slot, second)
    return gossip.signs(slot), gossip, slot


def shown(signs: Signs) -> set[str]:
    """Names of the signs of the only peer."""
    return {name for name in ("special", "uniform", "future", "regular", "hurried") if getattr(signs, name)[0]}


def test_honest_answer_shows_nothing(rng):
    """A thousand honest addresses in one message."""
    stream = Stream()
    stream.addr(at(0), 1, honest_addresses(rng, 1000), START - rng.integers(0, 10**6, 1000))
    assert shown(look(stream)[0]) == set()


@pytest.mark.parametrize(("n", "signs"), [(60, {"special"}), (1500, {"special", "uniform"})])
def test_uniform_addresses(rng, n, signs):
    """A few dozen show special space, some hundred the even spread."""
    stream = Stream()
    stream.addr(at(0), 1, uniform_addresses(rng, n), [START - 99] * n)
    assert shown(look(stream)[0]) == signs


def test_own_private_addresses_are_forgiven_however_often(rng):
    """Four different ones, a hundred times."""
    own = mapped(["10.0.0.5", "192.168.1.2", "172.17.0.1", "169.254.3.4"])
    stream = Stream()
    for _ in range(100):
        stream.addr(at(0), 1, own, [START] * 4)
        stream.addr(at(0), 1, honest_addresses(rng, 1), [START])
    signs, gossip, slot = look(stream)
    assert "special" not in shown(signs)
    assert gossip.shares(int(slot[0]))["special_addresses_percent"] == 0


def test_fifth_private_address_is_not_forgiven():
    """A peer with many private addresses is conspicuous."""
    stream = Stream()
    stream.addr(at(0), 1, mapped([f"10.0.0.{n}" for n in range(9)]), [START] * 9)
    signs, gossip, slot = look(stream)
    assert "special" in shown(signs)
    assert gossip.shares(int(slot[0]))["special_addresses_percent"] == round(100 * 5 / 9, 1)


@pytest.mark.parametrize(("ahead", "expected"), [(60, False), (61, True), (600, True), (601, False), (-5, False)])
def test_future(rng, ahead, expected):
    """Timestamps more than a minute and at most ten minutes ahead are conspicuous."""
    stream = Stream()
    stream.addr(at(0), 1, honest_addresses(rng, 20), [START + ahead] * 20)
    assert ("future" in shown(look(stream)[0])) is expected


@pytest.mark.parametrize(("clock", "expected"), [(START + 300, False), (START - 300, True), (START, True)])
def test_clock_of_the_peer_is_taken_off(rng, clock, expected):
    """A clock that is fast by what its timestamps are ahead explains them; only the first claim counts."""
    stream = Stream()
    stream.version(at(0), 1, clock=clock)
    stream.version(at(0), 1, clock=START + 300)
    stream.addr(at(0), 1, honest_addresses(rng, 20), [START + 300] * 20)
    assert ("future" in shown(look(stream)[0])) is expected


def test_slow_clock_of_the_peer_is_not_added(rng):
    """Addresses that a peer with a slow clock passes on were stamped by others: the recent past is no future."""
    stream = Stream()
    stream.version(at(0), 1, clock=START - 379)
    stream.addr(at(0), 1, honest_addresses(rng, 20), [START - 50] * 20)
    assert shown(look(stream)[0]) == set()


def test_one_size(rng):
    """Twenty messages of seven are regular; of two, they are alike by nature."""
    for size, expected in ((7, True), (2, False), (11, False)):
        stream = Stream()
        for nth in range(20):
            stream.addr(at(nth + rng.exponential(10)), 1, honest_addresses(rng, size), [START - 999] * size)
        assert ("regular" in shown(look(stream.sorted())[0])) is expected


def test_clockwork(rng):
    """Messages of mixed sizes every ten seconds are regular, too."""
    stream = Stream()
    for nth in range(21):
        size = int(rng.integers(1, 9))
        stream.addr(at(nth * 10), 1, honest_addresses(rng, size), [START - 999] * size)
    assert shown(look(stream)[0]) >= {"regular"}


def test_hurry_is_more_than_core_sends_and_forgotten_after_silence(rng):
    """Nine messages in a second are more than Core's timer makes, eight are not; two minutes of silence make up for it."""
    for messages, expected in ((8, False), (9, True)):
        stream = Stream()
        for _ in range(messages):
            stream.addr(at(0), 1, honest_addresses(rng, 1), [START - 999])
        signs, gossip, slot = look(stream)
        assert ("hurried" in shown(signs)) is expected
        gossip.settle(slot, START + 121)
        assert "hurried" not in shown(gossip.signs(slot))


def test_samples_are_halved_when_full(rng):
    """The newest thousands of entries and dozens of messages are kept, not all."""
    stream = Stream()
    for nth in range(300):
        stream.addr(at(nth), 1, honest_addresses(rng, 50), [START + nth + 100] * 50)
    _, gossip, slot = look(stream)
    before = gossip.shares(int(slot[0]))
    gossip.trim(slot)
    peers = gossip._peers
    assert peers["entries"][slot[0]] <= ENTRIES
    assert peers["sizes"][slot[0]].sum() <= 64
    assert peers["gaps.n"][slot[0]] <= 64
    assert gossip.shares(int(slot[0])) == pytest.approx(before, rel=0.05)
