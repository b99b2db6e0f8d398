"""What stands before the message of a line of `debug.log`: when, and of which category.

    2026-11-25T04:28:31Z [msghand] [net] received: ping (8 bytes) peer=3
    2026-11-25T04:28:31.123456Z [net:debug] [net.cpp:710] [ReceiveMsgBytes] …

Thread, place and function are there if the node is told so (-logthreadnames, -logsourcelocations), microseconds with
-logtimemicros, and no time at all with -logtimestamps=0. While the node leaves lines of some place out because they were too
many, every other line begins with `[*] ` (v30 and later). Source: Bitcoin Core, logging.cpp: BCLog::Logger::Format, LogPrint_.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from peerwatch.schema.batch import SECOND

CATEGORIES = frozenset({
    "net", "tor", "mempool", "http", "bench", "zmq", "walletdb", "rpc", "estimatefee", "addrman", "selectcoins", "reindex",
    "cmpctblock", "rand", "prune", "proxy", "mempoolrej", "libevent", "coindb", "qt", "leveldb", "validation", "i2p", "ipc",
    "lock", "blockstorage", "txreconciliation", "scan", "txpackages", "kernel", "privbroadcast", "all",
})  # fmt: skip
"""Categories of v22 to v31 (logging.cpp: LOG_CATEGORIES_BY_STR)."""
LEVELS = ("warning", "error")
"""Written in place of a category; they stay with the message."""
NONE = "none"
"""Category of lines that are always written."""

PREFIX = (
    rb"(?:\[\*\] )?(?:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z (?:\(mocktime: [^)]{1,32}\) )?)?"
    rb"((?:\[[^\]]{1,64}\] )*)"
)
"""As a pattern: second, its fraction, and all that is in brackets."""
_PREFIX = re.compile(PREFIX)
_BRACKET = re.compile(rb"\[([^\]]*)\] ")


class Line(NamedTuple):
    """One line: its time in ns UTC (None without one), category, and message."""

    ts: int | None
    category: str
    message: bytes


def parse(line: bytes) -> Line:
    """Read what stands before the message; whatever cannot be read is part of the message."""
    found = _PREFIX.match(line)
    assert found is not None  # noqa: S101 - it fits nothing at all, too
    second, fraction, brackets = found.groups()
    category, length = category_of(brackets)
    return Line(time_of(second, fraction), category, line[found.start(3) + length :])


def time_of(second: bytes | None, fraction: bytes | None) -> int | None:
    """Time in ns UTC of the parts of PREFIX; None if there is none."""
    at = second_of(second) if second else None
    return at + int(fraction.ljust(9, b"0")) if at is not None and fraction else at


@lru_cache(maxsize=256)
def second_of(text: bytes) -> int | None:
    """Time of `2026-11-25T04:28:31`, ns UTC; None if there is no such time. Many lines have the same."""
    year, month, day, hour, minute, second = (int(part) for part in re.split(rb"[-T:]", text))
    try:
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * SECOND
    except ValueError:
        return None


@lru_cache(maxsize=256)
def category_of(brackets: bytes) -> tuple[str, int]:
    """The category in what stands in brackets, and how much of that is no part of the message."""
    category, at = NONE, 0
    while (bracket := _BRACKET.match(brackets, at)) is not None:
        name = bracket[1].partition(b":")[0].decode("ascii", "replace")
        if name in LEVELS:
            break
        at = bracket.end()
        if name in CATEGORIES:
            category = name
    return category, at
