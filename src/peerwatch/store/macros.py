"""SQL functions that a query over an archive can use, beyond DuckDB's own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Macro:
    """One function: how it is called, what it gives, and how it is defined."""

    call: str
    doc: str
    body: str

    @property
    def create(self) -> str:
        """The statement that makes it."""
        return f"CREATE MACRO {self.call} AS {self.body}"


_MAPPED = "'00000000000000000000FFFF'"
"""Begins the hexadecimal digits of an IPv4 address in 16 bytes (RFC 4291, section 2.5.5.2)."""


def _ipv4() -> str:
    digits = (f"('0x' || substr(hex(ip), {at}, 2))::INTEGER" for at in range(25, 33, 2))
    return f"concat_ws('.', {', '.join(digits)})"


def _ipv6_groups() -> str:
    groups = (f"lower(regexp_replace(substr(hex(ip), {at}, 4), '^0{{1,3}}', ''))" for at in range(1, 33, 4))
    return f"concat_ws(':', {', '.join(groups)})"


def _ipv6() -> str:
    """RFC 5952: the longest run of two or more zero groups, the first of equals, becomes `::`."""
    groups = _ipv6_groups()
    runs = (f"(^|:)0(:0){{{more}}}(:|$)" for more in range(7, 0, -1))
    cases = " ".join(f"WHEN regexp_matches({groups}, '{run}') THEN regexp_replace({groups}, '{run}', '::')" for run in runs)
    return f"CASE {cases} ELSE {groups} END"


MACROS = (
    Macro("utc(ts)", "A time in nanoseconds since 1970 as a TIMESTAMP in UTC.", "make_timestamp_ns(ts)"),
    Macro(
        "ip_text(ip)",
        "An address of 16 bytes as people write it: IPv4 with dots, IPv6 as in RFC 5952.",
        f"CASE WHEN octet_length(ip) IS DISTINCT FROM 16 THEN NULL "
        f"WHEN hex(ip) LIKE {_MAPPED} || '%' THEN {_ipv4()} ELSE {_ipv6()} END",
    ),
    Macro(
        "hash_text(hash)",
        "A hash as hexadecimal digits in the order that explorers show, reversed against the wire.",
        "lower(array_to_string(list_reverse(regexp_extract_all(hex(hash), '..')), ''))",
    ),
)
"""In the order in which they are documented."""
