"""Templates of log lines: text as the node writes it, with named fields in place of what varies.

    Template("discouraged", "net", "Disconnecting and discouraging peer {peer}!", …)
    Template("addr_received", "net", "Received addr: {value} addresses ({value2} processed, {} rate-limited) from peer={peer}", …)

Fields are `{peer}`, `{address}`, `{hash}` (as explorers show it), `{value}` and `{value2}` (whole numbers; of others the
whole part), `{text}` (anything), `{word}` (anything without a space, not kept) and `{}` (anything, not kept). What peers choose,
such as a user agent, has lost by Core's SanitizeString what would end it here, above all `=`. Of templates that fit a line, that
with most literal text counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from peerwatch.wire.raw import printable

LONGEST_TEXT = 160
LONGEST_ADDRESS = 96
LONGEST_LINE = 4096
"""Bytes of a message that are looked at."""

_FORMS = {
    "peer": rb"(?P<peer>-?\d{1,18})",
    "address": rb"(?P<address>[^\s,\"]{1,96})",
    "hash": rb"(?P<hash>[0-9a-f]{64})",
    "value": rb"(?P<value>[+-]?\d{1,18})(?:\.\d+)?",
    "value2": rb"(?P<value2>[+-]?\d{1,18})(?:\.\d+)?",
    "text": rb"(?P<text>.*?)",
    "word": rb"\S+",
    "": rb".*?",
}
_PEER_ADDRESS = rb"(?:,? peeraddr=(?P<address>[^\s,;\"]{1,96}))?"
_FIELD = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of line."""

    event: str
    """Name, as in `log_event.event`; several templates may tell the same."""
    category: str
    """Category that the line has, or none."""
    text: str
    meaning: str
    """What it tells, and what `value`, `value2`, `hash` and `text` are; a sentence."""
    example: str
    """A message that it fits."""
    versions: str = "22-31"
    """Versions of Bitcoin Core that it was read from."""


def wordings(event: str, category: str, meaning: str, *texts: tuple[str, str, str]) -> tuple[Template, ...]:
    """Templates of one event that was worded in several ways: text, example and versions of each."""
    return tuple(Template(event, category, text, meaning, example, versions) for text, example, versions in texts)


class Found(NamedTuple):
    """What a line says."""

    template: Template
    peer: int | None
    address: str | None
    hash: bytes | None
    value: int | None
    value2: int | None
    text: str | None


_Compiled = tuple[re.Pattern[bytes], Template]


class Matcher:
    """All templates, found by their first word, or by what stands before a field in it."""

    def __init__(self, templates: Iterable[Template]) -> None:
        """Compile them.

        Raises:
            ValueError: a template with a field that there is not.
        """
        self._by_word: dict[bytes, list[_Compiled]] = {}
        self._by_opening: dict[bytes, list[_Compiled]] = {}
        for template in sorted(templates, key=lambda each: -len(_FIELD.sub("", each.text))):
            word = template.text.partition(" ")[0]
            opening, field, _ = word.partition("{")
            place = self._by_opening if field or word == template.text else self._by_word
            place.setdefault(opening.encode(), []).append((compiled(template.text), template))
        self._openings = tuple(opening for opening in self._by_opening if opening)

    def match(self, message: bytes) -> Found | None:
        """The template that a message fits, and its fields; None if there is none."""
        message = message[:LONGEST_LINE]
        candidates = self._by_word.get(message.partition(b" ")[0], ())
        if message.startswith(self._openings):
            candidates = (*candidates, *(c for o, cs in self._by_opening.items() if o and message.startswith(o) for c in cs))
        for pattern, template in (*candidates, *self._by_opening.get(b"", ())):
            if (found := pattern.fullmatch(message)) is not None:
                return _found(template, found.groupdict())
        return None


def compiled(text: str) -> re.Pattern[bytes]:
    """A template's text as a pattern for a whole message; behind `peer={peer}` may stand the peer's address (-logips),
    and at the end its autonomous system (-asmap).

    Raises:
        ValueError: a field that there is not.
    """
    pattern, at = b"", 0
    for field in _FIELD.finditer(text):
        if field[1] not in _FORMS:
            raise ValueError(f"no field {{{field[1]}}} in a template")
        pattern += re.escape(text[at : field.start()].encode()) + _FORMS[field[1]]
        at = field.end()
        if text[:at].endswith("peer={peer}") and "{address}" not in text:
            pattern += _PEER_ADDRESS
    if text.endswith("peer={peer}"):
        pattern += rb"(?:, mapped_as=\d{1,10})?"
    return re.compile(pattern + re.escape(text[at:].encode()), re.DOTALL)


def _found(template: Template, fields: dict[str, bytes | None]) -> Found:
    number = {name: int(value) for name in ("peer", "value", "value2") if (value := fields.get(name)) is not None}
    address, digest, text = fields.get("address"), fields.get("hash"), fields.get("text")
    return Found(
        template,
        number.get("peer"),
        printable(address) if address else None,
        bytes.fromhex(digest.decode())[::-1] if digest else None,
        number.get("value"),
        number.get("value2"),
        printable(text[:LONGEST_TEXT])[:LONGEST_TEXT] if text else None,
    )
