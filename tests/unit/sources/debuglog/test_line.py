"""What stands before the message of a log line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.batch import SECOND
from peerwatch.sources.debuglog.line import parse

AT = 1_795_580_911 * SECOND


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"2026-11-25T04:28:31Z UpdateTip: x", (AT, "none", b"UpdateTip: x")),
        (b"2026-11-25T04:28:31Z [net] hello", (AT, "net", b"hello")),
        (b"2026-11-25T04:28:31.000123Z [msghand] [addrman] Added x", (AT + 123_000, "addrman", b"Added x")),
        (b"2026-11-25T04:28:31Z [msghand] [net.cpp:12] [Foo] [net:debug] x", (AT, "net", b"x")),
        (b"2026-11-25T04:28:31Z [net] [net] Resetting", (AT, "net", b"Resetting")),
        (b"2026-11-25T04:28:31Z [warning] x", (AT, "none", b"[warning] x")),
        (b"2026-11-25T04:28:31Z [net:warning] x", (AT, "net", b"x")),
        (b"[*] 2026-11-25T04:28:31Z [net] hello", (AT, "net", b"hello")),
        (b"[*] 2026-11-25T04:28:31.5Z [warning] x", (AT + SECOND // 2, "none", b"[warning] x")),
        (b"2026-11-25T04:28:31Z (mocktime: 2030-01-01T00:00:00Z) [net] hello", (AT, "net", b"hello")),
        (b"no time at all", (None, "none", b"no time at all")),
        (b"2026-13-45T99:99:99Z x", (None, "none", b"x")),
        (b"", (None, "none", b"")),
    ],
)
def test_prefixes(line: bytes, expected: tuple[int | None, str, bytes]) -> None:
    """Time in seconds or parts of them, thread, place, function and category, as the node is told to write them."""
    assert parse(line) == expected


@given(st.binary(max_size=100))
def test_any_bytes(line: bytes) -> None:
    """Nothing is raised, and the message is the end of the line."""
    assert line.endswith(parse(line).message)
