"""What an incident says."""

from __future__ import annotations

from peerwatch.alerts.explain import LONGEST_FACT, NAMED, clock_time, explain
from peerwatch.alerts.incident import MOST_PEERS, PeerName
from peerwatch.detect._api import Finding, Kind, Severity, SubjectKind
from tests.builders import at

KIND = Kind("flood", Severity.PAGE, "A peer floods.", "addresses", "Look at it.", normal="At most ten, as Core limits.")


def finding(**more: object) -> Finding:
    """A finding about peer 7."""
    facts = {"future_times_percent": 84.25, "reason": "test"}
    base = {"measured": 1234.0, "expected": (0.0, 10.0), "identifier": "flood:alice", "peers": (7,), "facts": facts}
    return Finding("flood", SubjectKind.PEER, "7", at(0), at(9), 50.0, **(base | more))  # type: ignore[arg-type]


def names(n: int) -> list[PeerName]:
    """So many peers."""
    return [PeerName(peer, f"203.0.113.{peer % 256}:8333") for peer in range(n)]


def test_says_all_that_there_is_to_know():
    """What was seen, what is normal and why, who, since when, further facts, how sure, what to do."""
    assert explain(KIND, finding(), [PeerName(7, "203.0.113.7:8333")], at(0), 1.0) == (
        "A peer floods. Measured: 1 234 addresses, where at most 10 would be expected. Normal: At most ten, as Core limits."
        " Peer: 7 (203.0.113.7:8333). Since 2021-07-11 10:40:00 UTC. Also: future times 84.25 %, reason test."
        " All events of that time were seen. What to do: Look at it."
    )


def test_says_how_much_was_not_seen():
    """A finding out of half the events may be worse than it looks."""
    assert "Only 48.0 % of the events of that time were seen" in explain(KIND, finding(), [], at(0), 0.48)


def test_names_some_and_counts_the_others():
    """Ten peers are named; a full list may not be all."""
    text = explain(KIND, finding(), names(NAMED + 5), at(0), 1.0)
    assert "Measured for peer 7: " in text
    assert "9 (203.0.113.9:8333) and 5 more." in text
    assert f"and at least {MOST_PEERS - NAMED} more." in explain(KIND, finding(), names(MOST_PEERS), at(0), 1.0)


def test_expected_ranges_and_unknown_addresses():
    """A lower end is said when there is one, and a peer without address is its id."""
    text = explain(KIND, finding(expected=(5.0, 10.5)), [PeerName(7, None)], at(0), 1.0)
    assert "where 5 to 10.5 would be expected" in text
    assert "Peer: 7. Since" in text


def test_hostile_text_is_escaped_and_bounded():
    """Whatever a peer or an error got into facts and addresses: no control bytes, no endless text."""
    hostile = "\x1b[2J\u202e" + "x" * 5000
    text = explain(KIND, finding(facts={"error": hostile}), [PeerName(1, "\x07evil")], at(0), 1.0)
    assert text.isprintable()
    assert len(text) < 400 + 2 * LONGEST_FACT


def test_clock_time():
    """Times are UTC, to the second."""
    assert clock_time(at(61.9)) == "2021-07-11 10:41:01 UTC"


def test_measured_within_what_is_expected():
    """Nothing is said about what would be expected when it was; nothing at all when there was nothing to measure."""
    assert "Measured: 10 addresses. Normal" in explain(KIND, finding(measured=10.0), [], at(0), 1.0)
    assert "Measured" not in explain(KIND, finding(measured=0.0), [], at(0), 1.0)
    assert "4 addresses, where 5 to 10 would" in explain(KIND, finding(measured=4.0, expected=(5.0, 10.0)), [], at(0), 1.0)


def test_time_that_was_not_seen():
    """A share that rounds to nothing is not given."""
    assert "Next to nothing of that time was seen." in explain(KIND, finding(), [], at(0), 0.0)
    assert "Only 0.2 % of" in explain(KIND, finding(), [], at(0), 0.002)
