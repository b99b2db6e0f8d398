"""The life of incidents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from peerwatch.alerts.book import INCIDENTS, REARM_S, IncidentBook
from peerwatch.alerts.incident import MOST_PEERS, Incident, PeerName
from peerwatch.alerts.rows import AlertRows
from peerwatch.detect._api import Finding, Kind, Severity, SubjectKind
from peerwatch.detect.runner import Detected
from peerwatch.schema.batch import SECOND
from tests.builders import START

NOTICE = Kind("flood", Severity.NOTICE, "A flood.", "addresses", "Look.")
PAGE = Kind("flood_severe", Severity.PAGE, "A severe flood.", "addresses", "Look now.", hold_s=90)
RECORD = Kind("sign", Severity.RECORD, "A sign.", "addresses", "Nothing.")
COLD = Kind("cold", Severity.NOTICE, "Cold.", "addresses", "Wait.", warm_up_s=100)
ABSENT = Kind("absent", Severity.NOTICE, "Nothing comes.", "s", "Look.", absence=True)


def found(second: float, kind: Kind = NOTICE, *, peer: int = 1, score: float = 1.0, sight: int = 500, **more: object) -> Detected:
    """A finding about a peer, made in a second after the start."""
    now = START + int(second)
    base = {"identifier": "flood:alice", "peers": (peer,), "expected": (0.0, 1.0), "completeness": 1.0, "query": f"SELECT {peer}"}
    finding = Finding(kind.name, SubjectKind.PEER, str(peer), now * SECOND, (now + 1) * SECOND - 1, score, score, **(base | more))  # type: ignore[arg-type]
    return Detected(now, "detector", kind, finding, {peer: f"203.0.113.{peer % 256}:8333"}, sight)


def told(changes: Sequence[Incident]) -> list[tuple[float, str]]:
    """When (s after the start) and what was told."""
    return [(change.ts / SECOND - START, change.state.value) for change in changes]


def take(*detected: Detected, until: float) -> list[Incident]:
    """What one book tells about findings, up to a second."""
    return IncidentBook("alice").take(detected, START + int(until))


def test_opens_at_the_end_of_its_second_and_is_resolved_after_the_hold():
    """Open as soon as the second is over; over when a minute brought nothing."""
    book = IncidentBook("alice")
    assert book.take([found(10)], START + 10) == []
    assert told(book.take([], START + 11)) == [(11, "open")]
    assert book.open() != []
    assert book.take([], START + 70) == []
    changes = book.take([], START + 71)
    assert told(changes) == [(71, "resolved")]
    assert changes[0].last_ts == (START + 11) * SECOND - 1
    assert book.open() == []


def test_times_do_not_depend_on_when_it_is_asked():
    """All at once, or second by second: the same incidents."""
    rng = np.random.default_rng(3)
    kinds = [NOTICE, PAGE, RECORD, COLD, ABSENT]
    detected = []
    for second in np.sort(rng.integers(0, 20_000, 300)).tolist():
        score, identifier = float(rng.integers(1, 50)), f"x{rng.integers(3)}"
        detected.append(found(second, kinds[rng.integers(5)], peer=int(rng.integers(9)), score=score, identifier=identifier))
    whole = take(*detected, until=30_000)
    book, parts = IncidentBook("alice"), []
    for each in detected:
        parts += book.take([], each.second)
        parts += book.take([each], each.second)
    for second in range(20_000, 30_000, 7):
        parts += book.take([], START + second)
    assert parts == whole
    assert len(whole) > 50


def test_findings_of_one_second_are_told_together():
    """Three peers of one second are one row, whoever was found first."""
    changes = take(found(5, peer=3), found(5, peer=1), found(5, peer=2), until=6)
    assert told(changes) == [(6, "open")]
    assert [peer.id for peer in changes[0].peers] == [3, 1, 2]
    assert changes[0].peers[0] == PeerName(3, "203.0.113.3:8333")
    assert changes[0].findings == 3


def test_updates_are_told_when_it_gets_worse_or_time_has_passed():
    """A new peer, a doubled score, a higher severity, or a minute; nothing else."""
    detected = [found(second) for second in range(200)]
    assert told(take(*detected, until=200)) == [(1, "open"), (61, "updated"), (121, "updated"), (181, "updated")]
    for worse in (found(20, peer=2), found(20, score=2.0), found(20, PAGE)):
        assert told(take(*detected[:20], worse, *detected[21:40], until=40)) == [(1, "open"), (21, "updated")]
    assert told(take(*detected[:20], found(20, score=1.9), until=40)) == [(1, "open")]


def test_severity_is_the_highest_and_kind_the_first():
    """An incident that got worse stays as severe, and is explained by its most severe finding."""
    changes = take(found(1), found(2, PAGE, score=3), found(3, score=9), until=200)
    assert [change.severity for change in changes] == ["notice", "page", "page", "page"]
    assert {change.kind for change in changes} == {"flood"}
    assert changes[-1].explanation.startswith("A severe flood.")
    assert changes[-1].score == 9
    assert told(changes)[-1] == (94, "resolved")


def test_several_subjects_are_about_the_node():
    """One peer is the subject; of several, it is the node."""
    changes = take(found(1), found(2, peer=2), until=3)
    assert [(change.subject_kind, change.subject) for change in changes] == [("peer", "1"), ("node", "alice")]


def test_times_and_completeness_span_all_findings():
    """From the first to the last moment of any finding, as sure as the least sure one."""
    late = found(9, completeness=0.4)
    changes = take(found(5), late, until=100)
    assert changes[-1].first_ts == (START + 5) * SECOND
    assert changes[-1].last_ts == late.finding.last_ts
    assert changes[-1].completeness == 0.4


def test_different_identifiers_are_different_incidents():
    """Each thing has its own incident and id."""
    changes = take(found(1, identifier="a"), found(1, identifier="b"), until=2)
    assert [change.identifier for change in changes] == ["a", "b"]
    assert len({change.incident for change in changes}) == 2


def test_the_same_soon_after_opens_it_again():
    """Within ten minutes it is the same incident; later it is a new one."""
    again = take(found(0), found(60 + REARM_S), until=60 + REARM_S + 1)
    assert told(again) == [(1, "open"), (61, "resolved"), (661, "open")]
    assert len({change.incident for change in again}) == 1
    later = take(found(0), found(61 + REARM_S), until=61 + REARM_S + 1)
    assert len({change.incident for change in later}) == 2
    assert later[-1].findings == 1


@pytest.mark.parametrize(
    "suppressed",
    [found(5, RECORD), found(5, COLD, sight=99), found(5, ABSENT, completeness=0.89)],
)
def test_what_is_only_recorded_opens_nothing(suppressed):
    """Records, findings while warming up, and what is missing from a time that was not wholly seen."""
    book = IncidentBook("alice")
    assert book.take([suppressed], START + 500) == []
    assert book.suppressed == 1


@pytest.mark.parametrize("worth", [found(5, COLD, sight=100), found(5, ABSENT, completeness=0.9), found(5, sight=0)])
def test_what_is_not_suppressed_opens(worth):
    """After warming up, with enough seen, and kinds that need no warm-up at once."""
    assert told(take(worth, until=6)) == [(6, "open")]


def test_record_joins_an_open_incident():
    """What is only recorded by itself adds to an incident that is open."""
    changes = take(found(1), found(2, RECORD, peer=9), until=3)
    assert [peer.id for peer in changes[-1].peers] == [1, 9]


def test_bounded():
    """Peers named and incidents held are bounded, whatever is found."""
    many = take(*[found(1, peer=peer) for peer in range(MOST_PEERS + 50)], until=2)
    assert len(many[0].peers) == MOST_PEERS
    book = IncidentBook("alice")
    changes = book.take([found(1, identifier=f"x{n}") for n in range(INCIDENTS + 50)], START + 2)
    assert len(changes) == INCIDENTS
    assert book.refused == 50


def test_hold_of_the_book():
    """An operator may have incidents resolved sooner or later."""
    assert told(IncidentBook("alice", hold_s=5).take([found(0, PAGE)], START + 10)) == [(1, "open"), (6, "resolved")]


def test_restored_from_the_archive():
    """After a restart an open incident goes on under its id, a resolved one may open again, and nothing is told twice."""
    rows, book = AlertRows("alice", 1), IncidentBook("alice")
    changes = book.take([found(0, identifier="gone"), found(50), found(52, peer=2, score=8.0)], START + 65)
    assert [change.state for change in changes] == ["open", "open", "updated", "resolved"]
    restored = IncidentBook("alice")
    restored.restore(rows.incidents(changes).to_pylist())
    assert restored.open() == [changes[1].incident]
    assert restored.take([], START + 70) == []
    later = restored.take([found(75, peer=3), found(80, identifier="gone")], START + 81)
    assert [change.incident for change in later] == [changes[1].incident, changes[0].incident]
    assert later[0].findings == 3
    assert [peer.id for peer in later[0].peers] == [1, 2, 3]
    assert later[0].score == 8.0
    assert told(restored.take([], START + 500))[-2:] == [(136, "resolved"), (141, "resolved")]


def test_restored_incident_without_new_findings_keeps_its_words():
    """It is resolved with what was known."""
    rows, book = AlertRows("alice", 1), IncidentBook("alice")
    changes = book.take([found(0)], START + 1)
    restored = IncidentBook("alice")
    restored.restore(rows.incidents(changes).to_pylist())
    (resolved,) = restored.take([], START + 100)
    assert told([resolved]) == [(61, "resolved")]
    assert (resolved.explanation, resolved.query) == (changes[0].explanation, changes[0].query)


def back(second: float, by: int, **more: object) -> Detected:
    """A finding made after the clock was set back by so many seconds."""
    return replace(found(second, **more), back_s=by)  # type: ignore[arg-type]


def test_hold_and_rearm_go_on_when_the_clock_is_set_back():
    """An incident lasts while it is found, and is over a minute after: by the time that has passed. Rows have the wall clock."""
    detected = [found(1000), found(1020), back(400, 640), back(440, 640)]
    assert told(take(*detected, until=1200)) == [(1001, "open"), (441, "updated"), (501, "resolved")]
    assert told(take(*detected, back(1100, 640), until=1741))[-1:] == [(1101, "open")]
    ids = {change.incident for change in take(found(1000), back(1000, 1300), until=2400)}
    assert len(ids) == 2


def test_incident_that_was_over_before_the_clock_was_set_back():
    """It keeps the times of the clock by which it was found, whenever it is asked for."""
    detected = [found(1000), back(500, 561)]
    whole = take(*detected, until=1100)
    book = IncidentBook("alice")
    parts = book.take(detected[:1], START + 1030) + book.take([], START + 1061) + book.take(detected[1:], START + 1100)
    assert parts == whole
    assert told(whole) == [(1001, "open"), (1061, "resolved"), (501, "open")]


def test_changes_come_in_order_of_elapsed_time():
    """Not of the wall clock's, which was set back between them."""
    changes = take(found(1000, identifier="a"), back(500, 520, identifier="b"), until=1200)
    assert [(change.identifier, change.state) for change in changes] == [
        *(("a", "open"), ("b", "open")),
        *(("a", "resolved"), ("b", "resolved")),
    ]


def test_restored_from_a_time_to_come():
    """When the clock was set back while nothing ran, an incident of the archive is held from now on, not from then."""
    rows, book = AlertRows("alice", 1), IncidentBook("alice")
    restored = IncidentBook("alice")
    restored.restore(rows.incidents(book.take([found(5000)], START + 5001)).to_pylist())
    assert restored.take([], 0) == []
    assert restored.take([], START + 100) == []
    assert restored.take([], START + 160) == []
    assert told(restored.take([], START + 161)) == [(161, "resolved")]


def test_peer_ids_of_two_sessions():
    """The same id in another session is another peer, whose address replaces nobody's."""
    changes = take(found(1, session=5), replace(found(2, session=6), addresses={1: "198.51.100.1:8333"}), until=3)
    assert changes[-1].peers == (PeerName(1, "203.0.113.1:8333"), PeerName(1, "198.51.100.1:8333"))
    changes = take(found(1, session=5), replace(found(2, session=6), addresses={}), until=3)
    assert changes[-1].peers == (PeerName(1, "203.0.113.1:8333"), PeerName(1, None))


@pytest.mark.parametrize(
    ("address", "known"),
    [
        ("203.0.113.1:8333", ["203.0.113.1:8333"]),
        (None, ["203.0.113.1:8333"]),
        ("198.51.100.1:8333", ["203.0.113.1:8333", "198.51.100.1:8333"]),
    ],
)
def test_restored_peers_have_no_session(address, known):
    """One of an archive is the same peer unless its address says otherwise."""
    rows, book = AlertRows("alice", 1), IncidentBook("alice")
    restored = IncidentBook("alice")
    restored.restore(rows.incidents(book.take([found(0, peer=2, session=5), found(0, session=5)], START + 1)).to_pylist())
    addresses = {} if address is None else {1: address}
    for second, score in ((10, 9.0), (11, 99.0)):
        (last,) = restored.take([replace(found(second, session=6, score=score), addresses=addresses)], START + second + 1)
    assert [peer.address for peer in last.peers if peer.id == 1] == known
    assert [peer.address for peer in last.peers if peer.id == 2] == ["203.0.113.2:8333"]


def test_restored_peers_of_two_sessions():
    """Both connections of one id survive a restart."""
    rows, book = AlertRows("alice", 1), IncidentBook("alice")
    both = [found(0, session=5), replace(found(0, session=6), addresses={1: "198.51.100.1:8333"})]
    changes = book.take(both, START + 1)
    restored = IncidentBook("alice")
    restored.restore(rows.incidents(changes).to_pylist())
    assert restored.take([], START + 100)[-1].peers == changes[-1].peers
