"""Which messages are wanted, as a condition in SQL. What a user typed becomes a number or a quoted literal, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from peerwatch.schema.batch import SECOND
from peerwatch.wire.dissector import WireError

ERRORS = tuple(error.name.lower() for error in WireError if error is not WireError.NONE)
"""What can be wrong with a message, as it stands in `message.error`."""

_UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86400 * SECOND}
_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_PEER = re.compile(r"[0-9]{1,18}")
_ADDRESS = re.compile(r"(?=.*[.:])[0-9A-Za-z.:%\[\]_-]{1,128}")
_TYPE = re.compile(r"[\x20-\x2b\x2d-\x7e]{1,48}")  # 12 bytes, each at most four characters; a comma parts two types
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Filter:
    """Messages wanted: all conditions hold, and of several values in one any. Times in ns UTC."""

    node: str | None = None
    peers: tuple[str, ...] = ()
    """Ids, addresses with a port, or addresses without."""
    types: tuple[str, ...] = ()
    inbound: bool | None = None
    errors: tuple[str, ...] | None = None
    """Only messages with one of these errors; with any, when none is named. None for all messages."""
    since: int | None = None
    """Not before this."""
    until: int | None = None
    """Before this."""

    def condition(self) -> str:
        """The condition over the columns of `message`."""
        terms = [
            f"node = {literal(self.node)}" if self.node is not None else "",
            _peers(self.peers) if self.peers else "",
            f"type IN {_listed(self.types)}" if self.types else "",
            ("inbound" if self.inbound else "NOT inbound") if self.inbound is not None else "",
            _errors(self.errors) if self.errors is not None else "",
            f"ts >= {self.since}" if self.since is not None else "",
            f"ts < {self.until}" if self.until is not None else "",
        ]
        return " AND ".join(term for term in terms if term) or "true"


def _peers(wanted: Iterable[str]) -> str:
    ids = [text for text in wanted if _PEER.fullmatch(text)]
    addresses = [text for text in wanted if not _PEER.fullmatch(text)]
    terms = [f"peer IN ({', '.join(ids)})"] if ids else []
    if addresses:
        hosts = _listed([*addresses, *(f"[{text}]" for text in addresses)])
        terms.append(
            "(node, session, source, peer) IN (SELECT node, session, source, peer FROM connection "  # noqa: S608 - quoted
            f"WHERE address IN {_listed(addresses)} OR regexp_replace(address, ':[0-9]+$', '') IN {hosts})"
        )
    return f"({' OR '.join(terms)})"


def _errors(wanted: tuple[str, ...]) -> str:
    return f"error IN {_listed(wanted)}" if wanted else "error IS NOT NULL"


def _listed(texts: Iterable[str]) -> str:
    return f"({', '.join(map(literal, texts))})"


def literal(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def peer(text: str) -> str:
    """A peer's id or address as it was typed.

    Raises:
        ValueError: it can be neither.
    """
    if not (_PEER.fullmatch(text) or _ADDRESS.fullmatch(text)):
        raise ValueError(f"{text!r} is neither the id of a peer nor an address, with a port or without")
    return text


def type_name(text: str) -> str:
    """A message type as it was typed.

    Raises:
        ValueError: no message can have it.
    """
    if not _TYPE.fullmatch(text):
        raise ValueError(f"{text!r} cannot be a message type; name some as in inv,getdata")
    return text


def error(text: str) -> str:
    """Something that can be wrong with a message, as it was typed.

    Raises:
        ValueError: there is no such error.
    """
    if text not in ERRORS:
        raise ValueError(f"{text!r} is no error; there are {', '.join(ERRORS)}")
    return text


def moment(text: str, now: int) -> int:
    """A time as it was typed, ns UTC: a date or time of ISO 8601, in UTC unless it says otherwise, or how long before `now`.

    Raises:
        ValueError: it is neither.
    """
    if ago := _AGO.fullmatch(text):
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time; use one in UTC as 2026-11-02T10:00:00, or how long ago as 90s, 10m, 2h, 3d"
        ) from None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return min((when - _EPOCH) // timedelta(microseconds=1) * 1000, _LATEST)
