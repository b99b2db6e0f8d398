"""What a message says, in a few words: one description for each table that messages are dissected into.

Descriptions are printable ASCII, whatever the rows hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""A row of a table: its columns by name."""

LONGEST = 80
"""Characters of a peer's text in a description."""

MOST_KINDS = 5
"""Kinds of entries told apart in a line: a peer can make up any number of them."""


@dataclass(frozen=True, slots=True)
class Description:
    """How one table's rows of one message are described.

    `says` is given the row of the message; where a message makes several rows, it is given how many there are of each value of
    the column `by` instead, most frequent first. `also` names a table that has more on each of those rows.
    """

    says: Callable[[Mapping[Any, Any]], str]
    by: str | None = None
    also: str | None = None


def shown(text: object, longest: int = LONGEST) -> str:
    r"""A text made safe for a terminal: everything but printable ASCII becomes an escape, and what is too long is cut.

    Other letters may run from right to left, have no width or look like others; what peers sent is stored without any.

    >>> shown("a\x1b[31m\u202e\u05d0")
    'a\\x1b[31m\\u202e\\u05d0'
    """
    safe = "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in str(text)[: longest + 1])
    return safe if len(safe) <= longest else safe[: longest - 3] + "..."


def short(digest: bytes | None) -> str:
    """Both ends of a hash in the order that explorers show; block hashes begin with zeros, so its end is what tells it."""
    if digest is None:
        return "?"
    text = digest[::-1].hex()
    return f"{text[:8]}..{text[-8:]}"


def _said(*parts: str | None) -> str:
    """The parts that there are, in a row."""
    return " ".join(part for part in parts if part)


def _number(row: Row, column: str, unit: str) -> str | None:
    """A number that may be absent, with what it counts."""
    return None if row[column] is None else f"{row[column]} {unit}"


def _few(counts: Sequence[tuple[str, int]], form: str) -> str:
    """The first of some counts, each by `form`, and how many entries there are of other kinds."""
    told = [form.format(name=name, n=n) for name, n in counts[:MOST_KINDS]]
    rest = sum(n for _, n in counts[MOST_KINDS:])
    return ", ".join([*told, f"{rest} of {len(counts) - MOST_KINDS} other kinds"] if rest else told)


def _address(networks: Mapping[Any, Any]) -> str:
    return f"{sum(networks.values())} ({_few([(shown(name), n) for name, n in networks.items()], '{name} {n}')})"


_KINDS = {1: "tx", 2: "block", 3: "filtered block", 4: "compact block", 5: "wtx"}
"""Inventory types (BIP 144, BIP 152, BIP 339; Core, protocol.h: GetDataMsg)."""
_WITNESS = 1 << 30


def _kind(kind: int) -> str:
    name = _KINDS.get(kind & ~_WITNESS)
    return f"kind {kind}" if name is None else f"witness {name}" if kind & _WITNESS else name


def _inventory(kinds: Mapping[Any, Any]) -> str:
    return _few([(_kind(kind), n) for kind, n in kinds.items()], "{n} {name}")


def _version(row: Row) -> str:
    return _said(
        str(row["protocol"]),
        None if row["user_agent"] is None else shown(row["user_agent"]),
        None if row["start_height"] is None else f"height {row['start_height']}",
        f"services {row['services']:#x}",
        "no relay" if row["relay"] is False else None,
    )


def _ping(row: Row) -> str:
    return "no nonce" if row["nonce"] is None else f"nonce {row['nonce']:016x}"


def _negotiation(row: Row) -> str:
    return _said(
        None if row["version"] is None else f"version {row['version']}",
        None if row["high_bandwidth"] is None else "high bandwidth" if row["high_bandwidth"] else "low bandwidth",
        _number(row, "fee_rate", "sat/kvB"),
        None if row["salt"] is None else f"salt {row['salt']:016x}",
    )


def _headers(row: Row) -> str:
    return _said(
        str(row["headers"]),
        f"last {short(row['last'])}" if row["headers"] else None,
        f"broken at {row['breaks']}" if row["breaks"] else None,
    )


def _block_relay(row: Row) -> str:
    compact = row["short_ids"] is not None
    return _said(
        short(row["hash"]),
        None if compact else _number(row, "transactions", "tx"),
        _number(row, "short_ids", "short"),
        _number(row, "prefilled", "prefilled"),
        _number(row, "hashes", "hashes"),
        _number(row, "weight", "WU"),
    )


def _transaction(row: Row) -> str:
    return f"{short(row['txid'])} {row['inputs']} in {row['outputs']} out {row['weight']} WU"


def _locator(row: Row) -> str:
    return _said(
        f"{row['hashes']} hashes",
        f"from {short(row['tip'])}" if row["tip"] is not None else None,
        f"to {short(row['stop'])}" if row["stop"] is not None and any(row["stop"]) else None,
    )


def _rejection(row: Row) -> str:
    return _said(
        shown(row["message"]),
        None if row["code"] is None else str(row["code"]),
        None if row["reason"] is None else shown(row["reason"]),
        None if row["hash"] is None else short(row["hash"]),
    )


def _bloom_filter(row: Row) -> str:
    return _said(f"{row['bytes']} B", _number(row, "functions", "functions"), _flags(row))


def _flags(row: Row) -> str | None:
    return None if row["flags"] is None else f"flags {row['flags']}"


def _block_filter(row: Row) -> str:
    return _said(
        "basic" if row["filter_type"] == 0 else f"filter type {row['filter_type']}",
        None if row["start_height"] is None else f"from height {row['start_height']}",
        None if row["hash"] is None else f"{'of' if row['bytes'] is not None else 'to'} {short(row['hash'])}",
        _number(row, "hashes", "hashes"),
        _number(row, "bytes", "B"),
    )


def _network_alert(row: Row) -> str:
    return _said(
        None if row["id"] is None else f"number {row['id']}",
        f"{row['payload']} B",
        None if row["signature"] is None else f"signed with {row['signature']} B",
        None if not row["cancel"] else f"cancels up to {row['cancel']}",
    )


DESCRIPTIONS = {
    "address": Description(_address, by="network"),
    "block_filter": Description(_block_filter),
    "block_relay": Description(_block_relay),
    "bloom_filter": Description(_bloom_filter),
    "headers": Description(_headers),
    "inventory": Description(_inventory, by="kind", also="inventory_id"),
    "locator": Description(_locator),
    "negotiation": Description(_negotiation),
    "network_alert": Description(_network_alert),
    "ping": Description(_ping),
    "rejection": Description(_rejection),
    "transaction": Description(_transaction),
    "version": Description(_version),
}
"""By table; every table that a dissector fills has one."""
