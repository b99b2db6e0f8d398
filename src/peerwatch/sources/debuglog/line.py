"""What stands before the message of a line of `debug.log`: when, and of which category.

    2026-11-25T04:28:31Z [msghand] [net] received: ping (8 bytes) peer=3
    2026-11-25T04:28:31.123456Z [net:debug] [net.cpp:710] [ReceiveMsgBytes] …

Thread, place and function are there if the node is told so (-logthreadnames, -logsourcelocations), microseconds with
-logtimemicros, and no time at all with -logtimestamps=0. Source: Bitcoin Core, logging.cpp: BCLog::Logger::Format.
"""

from __future__ import annotations

import re
from calendar import timegm
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

_TIME = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z ")
_BRACKET = re.compile(rb"\[([^\]]{1,64})\] ")


class Line(NamedTuple):
    """One line: its time in ns UTC (None without one), category, and message."""

    ts: int | None
    category: str
    message: bytes


def parse(line: bytes) -> Line:
    """Read what stands before the message; whatever cannot be read is part of the message."""
    ts, at = None, 0
    if (found := _TIME.match(line)) is not None:
        year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
        ts = timegm((year, month, day, hour, minute, second)) * SECOND if 1 <= month <= 12 and year >= 1970 else None  # noqa: PLR2004
        if ts is not None and found[7]:
            ts += int(found[7].ljust(9, b"0"))
        at = found.end()
    category = NONE
    while (bracket := _BRACKET.match(line, at)) is not None:
        name = bracket[1].partition(b":")[0].decode("ascii", "replace")
        if name in LEVELS:
            break
        at = bracket.end()
        if name in CATEGORIES:
            category = name
    return Line(ts, category, line[at:])
