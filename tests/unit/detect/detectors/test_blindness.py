"""The monitor notices when it does not see enough."""

from __future__ import annotations

import json

import pytest

from peerwatch.alerts.explain import explain
from peerwatch.detect.detectors.blindness import Blindness
from peerwatch.detect.runner import Detected, Runner
from tests.builders import START, Stream, at, kinds, run


def busy(seconds: range, peers: int = 5) -> Stream:
    """Peers that are connected and send two messages a second."""
    stream = Stream()
    for peer in range(peers):
        stream.opened(at(seconds.start), peer)
    talk(stream, seconds)
    return stream


def talk(stream: Stream, seconds: range) -> None:
    """Two messages a second."""
    for second in seconds:
        for part in (0.2, 0.7):
            stream.message(at(second + part), 1, "inv", size=37)


def of(found: list[Detected], kind: str) -> list[tuple[int, float]]:
    """When findings of a kind were made (s after the start), and what they measured."""
    return [(each.second - START, each.finding.measured) for each in found if each.finding.kind == kind]


def test_nothing_lost_nothing_found():
    """A node that is seen wholly, for an hour."""
    assert run(busy(range(3600)), Blindness()) == []


@pytest.mark.parametrize(("lost", "kind"), [(55, "loss"), (400, "loss_severe")])
def test_share_of_events_lost(lost, kind):
    """More than 1 % lost in five minutes is a notice, more than 10 % pages; it is told with the row that says so."""
    stream = busy(range(600))
    stream.loss(at(600), "dropped", count=lost)
    talk(stream, range(601, 1000))
    found = run(stream, Blindness())
    assert kinds(found) == {kind}
    assert of(found, kind)[0] == (600, round(100 * lost / (lost + 598), 2))
    assert found[0].finding.evidence[0].seq == stream.tables()["loss"]["seq"][0].as_py()
    assert max(second for second, _ in of(found, kind)) < 600 + 300 + 10
    assert {each.finding.identifier for each in found} == {"loss:alice"}


@pytest.mark.parametrize(("kind", "count"), [("truncated", 500), ("dropped", 49)])
def test_what_is_no_loss(kind, count):
    """Messages cut on purpose are not lost, and a few lost events are no share of anything."""
    stream = busy(range(60))
    stream.loss(at(60), kind, count=count)
    assert run(stream, Blindness()) == []


def test_short_gap_is_recorded_only():
    """A restart with a quick return opens no incident."""
    stream = busy(range(400))
    stream.node(at(400), "exited")
    stream.node(at(420), "started", started=at(419))
    stream.loss(at(420), "gap", first=at(400))
    stream.opened(at(421), 0)
    talk(stream, range(421, 500))
    found = run(stream, Blindness())
    assert of(found, "gap") == [(420, 20.0)]
    assert {each.kind.severity for each in found} == {"record"}


def test_node_that_does_not_come_back():
    """After a minute away the node's end is a notice, until it returns, and its return tells how long it was."""
    stream = busy(range(400))
    stream.node(at(400), "exited")
    stream.node(at(700), "started", started=at(700))
    stream.loss(at(700), "gap", first=at(400))
    talk(stream, range(701, 800))
    found = run(stream, Blindness())
    assert kinds(found) == {"blind"}
    blind = of(found, "blind")
    assert blind[0] == (460, 60.0)
    assert blind[-1] == (700, 300.0)
    assert {second % 10 for second, _ in blind} == {0}


def test_last_messages_in_the_second_of_the_end():
    """Messages of the second in which the node ended do not mean that it is back."""
    stream = busy(range(400))
    stream.message(at(400.1), 1, "inv")
    stream.node(at(400.5), "exited")
    assert of(run([stream.batch(at(500))], Blindness()), "blind")[0] == (460, 60.0)


def test_connections_end_with_the_node():
    """After a restart nobody is connected until somebody connects: no silence of those who were there before."""
    stream = busy(range(600))
    stream.node(at(600), "exited")
    stream.node(at(605), "started", started=at(605))
    assert run([stream.batch(at(900))], Blindness()) == []


def test_messages_that_cannot_be_traced():
    """Without its message probes a node is not seen, until messages come."""
    stream = Stream()
    stream.loss(at(0), "blind", probe="net:inbound_message")
    stream.opened(at(200), 1)
    talk(stream, range(300, 400))
    found = run(stream, Blindness())
    assert of(found, "blind")[0] == (0, 0.0)
    assert max(second for second, _ in of(found, "blind")) == 300 - 10


def test_missing_part_is_recorded_once():
    """A probe that an old binary lacks limits what can be detected, and no more."""
    stream = busy(range(100))
    stream.loss(at(100), "blind", probe="net:evicted_inbound_connection")
    talk(stream, range(101, 300))
    found = run(stream, Blindness())
    assert of(found, "blind_part") == [(100, 1.0)]
    assert found[0].finding.facts["probe"] == "net:evicted_inbound_connection"


def test_part_that_comes_back_is_recorded_only():
    """However long RPC or log were not seen, the node's messages were: nobody is called, and nothing counts as lost."""
    stream = busy(range(100))
    stream.loss(at(100), "gap", probe="rpc", first=at(1))
    talk(stream, range(101, 300))
    found = run(stream, Blindness())
    assert {(each.kind.name, each.kind.severity) for each in found} == {("blind_part", "record")}


def test_silence_of_connected_peers():
    """Ten minutes of messages every second and then none for 30 s, with peers connected: told until messages come again."""
    stream = busy(range(600))
    talk(stream, range(660, 700))
    found = run(stream, Blindness())
    assert [second for second, _ in of(found, "silence")] == [630, 640, 650]
    assert of(found, "silence")[0][1] == 31.0


def test_silence_without_peers_is_none():
    """When everybody has left there is nobody to hear."""
    stream = busy(range(600))
    for peer in range(5):
        stream.closed(at(600), peer)
    assert run([stream.batch(at(900))], Blindness()) == []


def test_quiet_node_is_never_silent():
    """A node with a message a minute may be quiet for ten minutes."""
    stream = Stream()
    stream.opened(at(0), 1)
    for minute in range(60):
        stream.message(at(60 * minute), 1, "ping")
    assert run([stream.batch(at(60 * 70))], Blindness()) == []


def test_pause_grows_with_the_pace_before():
    """With messages in every second second a pause of half a minute may be chance, and one of a minute is not."""
    stream = Stream()
    stream.opened(at(0), 1)
    for second in range(0, 900, 3):
        stream.message(at(second), 1, "inv")
    found = run([stream.batch(at(1000))], Blindness())
    assert of(found, "silence")[0] == (950, 53.0)
    assert found[0].finding.expected[1] == pytest.approx(51.1, abs=0.2)


def test_clock_and_disagreement():
    """A clock that was set is recorded; sources that disagree are a notice."""
    stream = busy(range(10))
    stream.loss(at(10), "clock", first=at(9))
    stream.loss(at(10), "disagreement", count=7, probe="addr")
    found = run(stream, Blindness())
    assert of(found, "clock") == [(10, 1.0)]
    assert of(found, "disagreement") == [(10, 7.0)]


def test_what_could_not_be_recorded_is_not_unseen():
    """A full disk is an incident of its own, and no loss of sight."""
    stream = busy(range(10))
    stream.loss(at(10), "dropped", count=5000, first=at(9), probe="archive")
    found = run(stream, Blindness())
    assert of(found, "unrecorded") == [(10, 5000.0)]
    assert kinds(found) == {"unrecorded"}
    assert found[0].finding.completeness == 1.0


def test_evasion_loss_that_nobody_noticed():
    """Known limit: what a source loses without saying so, with messages still coming, is not noticed here."""
    stream = busy(range(300))
    for second in range(300, 600):
        stream.message(at(second), 1, "inv", size=37)
    assert run(stream, Blindness()) == []


@pytest.mark.parametrize(("seconds", "kind"), [(59.9, "clock"), (60, "clock_jump"), (-3600, "clock_jump")])
def test_clock_that_is_set_far(seconds, kind):
    """A minute or more is a notice, in either direction, and of the same incident as less; times are in order."""
    stream = busy(range(10))
    stream.loss(at(10), "clock", first=at(10 - seconds))
    (found,) = run(stream, Blindness())
    assert (found.finding.kind, found.kind.severity) == (kind, "notice" if kind == "clock_jump" else "record")
    assert found.finding.measured == pytest.approx(abs(seconds))
    assert found.finding.identifier == "clock:alice"
    assert found.finding.first_ts < found.finding.last_ts


@pytest.mark.parametrize("kind", ["blind", "gap", "disagreement", "clock"])
def test_reason_is_told(kind):
    """A finding of a loss row says why, bounded and without what does not print."""
    stream = busy(range(10))
    stream.loss(at(10), kind, reason="the binary\x1b[2J has no probes" + "x" * 5000)
    (found, *_) = run(stream, Blindness())
    reason = found.finding.facts["reason"]
    assert reason.startswith("the binary\\x1b[2J has no probes")
    assert len(reason) < 200


def test_binary_without_probes_is_explained():
    """At once, and when it lasts: why, and for how long; no measurement of nothing."""
    stream = Stream()
    stream.opened(at(0), 1)
    stream.loss(at(0.0006), "blind", first=at(0), probe="net:inbound_message", reason="The binary has no such probe.")
    found = [each for each in run([stream.batch(at(100))], Blindness()) if each.finding.kind == "blind"]
    texts = [explain(each.kind, each.finding, [], each.finding.first_ts, each.finding.completeness) for each in found]
    assert "Measured" not in texts[0]
    assert "Measured: 100 seconds, where at most 60 would be expected." in texts[-1]
    assert all("Also: reason The binary has no such probe." in text for text in texts)
    assert "Next to nothing of that time was seen." in texts[0]


def set_back(stream: Stream, to: int, since: int) -> Stream:
    """The clock goes from `since` to `to`."""
    stream.loss(at(to), "clock", first=at(since))
    return stream


def test_silence_is_noticed_after_the_clock_was_set_back():
    """Who is connected stays connected."""
    stream = set_back(busy(range(1200)), 100, 1200)
    talk(stream, range(101, 800))
    found = run([stream.batch(at(900))], Blindness())
    assert of(found, "silence")[0][0] == 830


@pytest.mark.parametrize("how", ["exited", "blind"])
def test_what_is_not_seen_lasts_when_the_clock_is_set_back(how):
    """A node that is away, or not traced, is so since as long as before."""
    stream = busy(range(1200))
    if how == "exited":
        stream.node(at(1200), "exited")
    else:
        stream.loss(at(1200), "blind", probe="net:inbound_message")
    stream.opened(at(1300), 9)
    found = run([set_back(stream, 100, 1300).batch(at(200))], Blindness())
    (blind, *_) = [each.finding for each in found if each.finding.kind == "blind" and each.back_s]
    assert (blind.first_ts, blind.measured) == (at(0), 100)
    assert blind.facts["reason"] == ("The node has ended." if how == "exited" else "for the test")


@pytest.mark.parametrize("back", [False, True])
def test_restart_that_nobody_saw_ends_connections(back):
    """Another process is found, after the clock was set back, too: nobody is connected until somebody connects."""
    stream = Stream()
    stream.node(at(0), "found", started=at(-9))
    stream.append(busy(range(600)))
    if back:
        set_back(stream, 0, 600)
        talk(stream, range(1, 600))
    stream.node(at(600), "found", started=at(599), pid=8)
    assert kinds(run([stream.batch(at(900))], Blindness())) == ({"clock_jump"} if back else set())


def test_reason_is_known_after_a_restart():
    """Why a node is not traced is a part of the snapshot."""
    stream = Stream()
    stream.loss(at(0), "blind", reason="No such probe.")
    first, second = Runner("alice", [Blindness()]), Runner("alice", [Blindness()])
    first.feed(stream.batch(at(5)))
    second.restore(json.loads(json.dumps(first.snapshot())))
    found = second.feed(Stream().batch(at(100)))
    assert [each.finding.facts["reason"] for each in found] == ["No such probe."] * 4
