"""Matching lines with templates."""

from __future__ import annotations

import pytest

from peerwatch.sources.debuglog.template import LONGEST_TEXT, Matcher, Template, compiled, wordings


def template(text: str, event: str = "x") -> Template:
    return Template(event, "net", text, "Something.", "")


def test_fields() -> None:
    """Numbers are numbers, hashes are in the order of the wire, texts are printable and bounded."""
    text = "got {value} of {value2} {hash} by {address}: {text} peer={peer}"
    line = b"got -5 of 7.25 " + b"0a" * 31 + b"ff" + b" by 1.2.3.4:5: \x1b[31m" + b"x" * 500 + b" peer=12"
    found = Matcher([template(text)]).match(line)
    assert found is not None
    assert (found.value, found.value2, found.peer, found.address) == (-5, 7, 12, "1.2.3.4:5")
    assert found.hash == b"\xff" + b"\x0a" * 31
    assert found.text is not None
    assert found.text.startswith("\\x1b[31mxxx")
    assert len(found.text) == LONGEST_TEXT


def test_the_address_that_logips_adds_is_taken() -> None:
    """Behind a peer there may be its address, and behind that, at the end of a line, its autonomous system."""
    matcher = Matcher([template("closed peer={peer}"), template("error, closing peer={peer}: {text}")])
    assert matcher.match(b"closed peer=3") is not None
    for line in (b"closed peer=3, peeraddr=1.2.3.4:5", b"closed peer=3 peeraddr=1.2.3.4:5"):
        found = matcher.match(line)
        assert found is not None
        assert (found.peer, found.address) == (3, "1.2.3.4:5")
    found = matcher.match(b"closed peer=3, peeraddr=[2001:db8::1]:8333, mapped_as=64496")
    assert found is not None
    assert (found.peer, found.address) == (3, "[2001:db8::1]:8333")
    for line in (b"error, closing peer=3 peeraddr=[2001:db8::1]:5: reset", b"error, closing peer=3: reset"):
        found = matcher.match(line)
        assert found is not None
        assert (found.peer, found.text) == (3, "reset")
    assert matcher.match(b"closed peer=3 and more") is None


def test_several_wordings_of_an_event() -> None:
    """Each is a template of its own, with one name and one meaning."""
    one, two = wordings("x", "net", "Something.", ("a {value}", "a 1", "22-28"), ("b {value}", "b 1", "29-31"))
    found = Matcher([one, two]).match(b"b +7")
    assert found is not None
    assert (found.template, found.value) == (two, 7)
    assert (one.event, one.meaning) == (two.event, two.meaning)


def test_the_most_literal_counts() -> None:
    """Of templates that fit, the one with most text of its own."""
    plain, more = template("error {text}", "plain"), template("error in block {text}", "more")
    for order in ([plain, more], [more, plain]):
        found = Matcher(order).match(b"error in block 7")
        assert found is not None
        assert found.template is more


def test_templates_that_begin_with_a_field() -> None:
    """They are tried when the first word leads nowhere."""
    found = Matcher([template("a b"), template("{hash} was refused")]).match(b"ab" * 32 + b" was refused")
    assert found is not None


def test_a_field_that_there_is_not() -> None:
    """It is an error of whoever wrote the template."""
    with pytest.raises(ValueError, match=r"no field \{pear\}"):
        compiled("x {pear}")
