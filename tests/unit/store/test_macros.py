"""Tests of the SQL functions that we add."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.store.macros import MACROS


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    made = duckdb.connect(":memory:")
    for macro in MACROS:
        made.execute(macro.create)
    yield made
    made.close()


def ask(connection: duckdb.DuckDBPyConnection, sql: str, value: object) -> object:
    (row,) = connection.execute(sql, [value]).fetchall()
    return row[0]


@given(
    st.binary(min_size=16, max_size=16)
    | st.lists(st.sampled_from([b"\0\0", b"\0\1", b"\x20\x01"]), min_size=8, max_size=8).map(b"".join)
)
def test_ipv6_addresses_are_written_as_people_write_them(connection: duckdb.DuckDBPyConnection, raw: bytes) -> None:
    """As Python's ipaddress writes them (RFC 5952), wherever the zeros are."""
    if raw[:12] != bytes(10) + b"\xff\xff":
        assert ask(connection, "SELECT ip_text(?::BLOB)", raw) == str(ipaddress.IPv6Address(raw))


@given(st.binary(min_size=4, max_size=4))
def test_mapped_ipv4_addresses_are_written_with_dots(connection: duckdb.DuckDBPyConnection, raw: bytes) -> None:
    """Not as IPv6."""
    assert ask(connection, "SELECT ip_text(?::BLOB)", bytes(10) + b"\xff\xff" + raw) == str(ipaddress.IPv4Address(raw))


@pytest.mark.parametrize("value", [None, b"", b"\1\2\3\4", bytes(17)])
def test_what_is_no_address_is_null(connection: duckdb.DuckDBPyConnection, value: bytes | None) -> None:
    """Rather than something made up."""
    assert ask(connection, "SELECT ip_text(?::BLOB)", value) is None


@given(st.binary(min_size=0, max_size=32))
def test_hashes_are_shown_as_explorers_show_them(connection: duckdb.DuckDBPyConnection, raw: bytes) -> None:
    """Bytes reversed, in lower-case hexadecimal digits."""
    assert ask(connection, "SELECT hash_text(?::BLOB)", raw) == raw[::-1].hex()
    assert ask(connection, "SELECT hash_text(?::BLOB)", None) is None


@given(st.integers(0, 4 * 10**18))
def test_times_are_utc(connection: duckdb.DuckDBPyConnection, ns: int) -> None:
    """To the nanosecond, whatever the time zone of the machine."""
    expected = dt.datetime.fromtimestamp(ns // 10**9, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    assert ask(connection, "SELECT strftime(utc(?::BIGINT), '%Y-%m-%d %H:%M:%S')", ns) == expected
    assert ask(connection, "SELECT epoch_ns(utc(?::BIGINT))", ns) == ns


def test_every_function_is_documented() -> None:
    """With how it is called and a sentence."""
    assert [m.call for m in MACROS] == ["utc(ts)", "ip_text(ip)", "hash_text(hash)"]
    assert all(m.doc.endswith(".") for m in MACROS)
