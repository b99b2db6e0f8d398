"""What every template of a log line promises, tried on each that is declared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.sources.debuglog.counts import TRAFFIC
from peerwatch.sources.debuglog.line import CATEGORIES, NONE, parse
from peerwatch.sources.debuglog.registry import all_templates, matcher
from peerwatch.sources.debuglog.template import LONGEST_LINE, LONGEST_TEXT, Template, compiled

each = pytest.mark.parametrize("template", all_templates(), ids=lambda t: f"{t.event}-{t.versions}")


@each
def test_its_example_is_found(template: Template) -> None:
    """Of all templates it is the one that its example is told by, every field that it names has a value, and no other has."""
    found = matcher().match(template.example.encode())
    assert found is not None
    assert found.template is template
    named = set(re.findall(r"\{(\w+)\}", template.text)) - {"word"}
    values = {name: value for name, value in found._asdict().items() if name != "template" and value is not None}
    assert values.keys() == named


@each
def test_it_is_described(template: Template) -> None:
    """Names are plain, the category is one that there is, and what it tells is a sentence that explains its fields."""
    assert re.fullmatch(r"[a-z][a-z0-9_]+", template.event)
    assert template.category in CATEGORIES | {NONE}
    assert re.fullmatch(r"[A-Z`].*\.", template.meaning, re.DOTALL)
    assert re.fullmatch(r"\d\d(-\d\d)?", template.versions)
    for field in ("value", "value2", "text"):
        if f"{{{field}}}" in template.text and template.event not in ("warning", "error"):
            assert f"`{field}`" in template.meaning or template.event.startswith("addrman")


@each
def test_no_traffic_line_is_taken_for_it(template: Template) -> None:
    """Lines of single messages are counted apart, and none of the examples is one."""
    assert TRAFFIC.match(template.example.encode()) is None


@each
@given(junk=st.binary(max_size=200))
def test_hostile_lines_do_no_harm(template: Template, junk: bytes) -> None:
    """Whatever stands around or in place of the fields, nothing is raised, and what is kept is short and printable."""
    for line in (template.example.encode() + junk, junk + template.example.encode(), template.text.encode() + junk, junk):
        found = matcher().match(line)
        if found is not None:
            for value in (found.text, found.address):
                assert value is None or (value.isascii() and value.isprintable() and len(value) <= 4 * LONGEST_TEXT)


def sanitized(text: str) -> str:
    """What Core's SanitizeString leaves of a text (strencodings.cpp: SAFE_CHARS_DEFAULT)."""
    return re.sub(r"[^A-Za-z0-9 .,;\-_/:?@()]", "", text)


@pytest.mark.parametrize("template", [t for t in all_templates() if "{text}" in t.text], ids=lambda t: f"{t.event}-{t.versions}")
def test_a_text_changes_no_other_field(template: Template) -> None:
    """Whatever a peer puts where a text stands, even a line of the very template, the line tells the same of everything else."""
    before, _, after = template.text.partition("{text}")
    plain = matcher().match(template.example.encode())
    assert plain is not None
    shown = plain.text or ""
    head = template.example.index(shown) if before == "" else len(_filled(before, template.example))
    line = template.example
    assert line[head : head + len(shown)] == shown
    for hostile in (sanitized(line), sanitized(line[head:]), sanitized(after), sanitized(f"{shown}{after}9{after}")):
        found = matcher().match(f"{line[:head]}{hostile}{line[head + len(shown) :]}".encode())
        assert found is not None
        assert found.template.event == template.event
        assert found[1:6] == plain[1:6]


def _filled(before: str, example: str) -> str:
    """The part of an example that the beginning of its template stands for."""
    found = compiled(before + "{text}").fullmatch(example.encode())
    assert found is not None
    return example[: found.start("text")]


def test_lines_of_a_real_node_are_understood() -> None:
    """Knots v29 with -logips, peers that break rules among its peers: each of these lines is a message or fits a template."""
    lines = (Path(__file__).parents[1] / "data/log/knots29-logips.log").read_bytes().splitlines()
    others = [parse(line).message for line in lines if TRAFFIC.match(line) is None]
    assert len(others) >= 50
    assert [message for message in others if matcher().match(message) is None] == []
    addresses = [found.address for message in others if b"peeraddr=" in message and (found := matcher().match(message))]
    assert len(addresses) >= 5
    assert all(address and address.startswith("127.0.0.1:") for address in addresses)


def test_what_there_is() -> None:
    """No text is declared twice, and there are templates of every category that matters."""
    categories = {template.category for template in all_templates()}
    assert categories >= {"net", "addrman", "mempoolrej", "cmpctblock", "i2p", "tor", "bench", "none"}
    assert len({template.event for template in all_templates()}) >= 80
    assert len({template.text for template in all_templates()}) == len(all_templates())


def test_long_lines_take_no_time_to_speak_of() -> None:
    """No pattern looks at a line again and again."""
    line = (b"receive version message: " + b": version 1, blocks=2, us=" * 1000)[: 4 * LONGEST_LINE]
    assert matcher().match(line) is None
    assert compiled("{text} a {value} b {peer}").fullmatch(b"x" * LONGEST_LINE) is None
