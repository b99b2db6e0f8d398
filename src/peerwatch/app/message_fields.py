"""Values of a message's rows, as JSON has them and as people read them: by what their column says that they mean."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from peerwatch.schema.batch import SECOND
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.registry import all_tables

_HASH_BYTES = 32
_LAST_SECOND = 253_402_300_799
"""31 December 9999: what a peer sends as a time may be any number."""


def utc(ns: int, digits: int = 9) -> str:
    """A time in ns since 1970 as `2026-11-02 10:00:00.123`, with so many digits (1 to 9) of the second."""
    second, fraction = divmod(ns, SECOND)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S}.{fraction:09d}"[: 20 + digits]


def json_fields(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's values in JSON's types: hashes and addresses as people write them, other bytes as hexadecimal digits."""
    columns = all_tables()[table].columns
    return {name: _text(columns[name], value) if isinstance(value, bytes) else value for name, value in row.items()}


def text_fields(table: str, row: Mapping[str, Any]) -> dict[str, str]:
    """A row's values for people, those that are not null; what peers chose in them still has to be escaped."""
    columns = all_tables()[table].columns
    return {name: _text(columns[name], value) for name, value in row.items() if value is not None}


def _text(column: Column, value: Any) -> str:
    if isinstance(value, bytes):
        if pa.types.is_fixed_size_binary(column.arrow) and column.semantic is Semantic.ADDRESS:
            return _address(value)
        return (value[::-1] if column.semantic is Semantic.HASH and len(value) == _HASH_BYTES else value).hex()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column.semantic is Semantic.HASH:
        return f"{value:016x}"
    if column.semantic is Semantic.TIME and column.unit == "s" and 0 <= value <= _LAST_SECOND:
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return f"{value} {column.unit}" if column.unit not in {None, "1", "s"} else str(value)


def _address(ip: bytes) -> str:
    """16 bytes as an address: IPv4 with dots, IPv6 as in RFC 5952."""
    address = ipaddress.IPv6Address(ip)
    return str(address.ipv4_mapped or address)
