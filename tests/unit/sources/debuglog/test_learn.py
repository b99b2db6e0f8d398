"""Templates learned from lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerwatch.sources.debuglog.learn import LONGEST, MOST_TEMPLATES, OTHER, Learner


def test_what_varies_is_left_out() -> None:
    """Lines that differ in numbers, addresses, paths and names of services are of one template, which has none of them."""
    learner = Learner()
    lines = [b"Flushed 12 addresses to peers.dat in 3ms", b"Flushed 7 addresses to /srv/a/peers.dat in 14ms"]
    assert {learner.template_of(line) for line in lines} == {"Flushed <*> addresses to <*> in <*>"}
    shown = learner.template_of(b"listening on 203.0.113.9:8333 and abcdef.onion and [2001:db8::1]:8333 at host")
    assert shown == "listening on <*> and <*> and <*> at host"


def test_a_template_becomes_more_general() -> None:
    """Words that turn out to vary become variable."""
    learner = Learner()
    assert learner.template_of(b"state of the node is good now") == "state of the node is good now"
    assert learner.template_of(b"state of the node is bad now") == "state of the node is <*> now"
    assert learner.template_of(b"state of the node is good now") == "state of the node is <*> now"
    assert learner.template_of(b"something else altogether was said here") == "something else altogether was said here"


def test_there_are_not_more_than_so_many() -> None:
    """A flood of new lines is counted together."""
    learner = Learner()
    letters = "abcdefghij"
    shapes = [f"{a}{b}{c} x" for a in letters for b in letters for c in letters]
    told = {learner.template_of(line.encode()) for line in shapes}
    assert len(told) == MOST_TEMPLATES + 1
    assert OTHER in told


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_any_bytes(lines: list[bytes]) -> None:
    """What comes out is printable and bounded."""
    learner = Learner()
    for line in lines:
        text = learner.template_of(line)
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= LONGEST
