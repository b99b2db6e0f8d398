"""The three accounts that a node gives of its messages, read as plainly as can be, and how they belong together.

**Bytes of a message on the wire**, which is what `getpeerinfo` adds up: in v1 24 and the payload; in v2 20, the type (1 byte for
the 28 types that have a number, else 13) and the payload. A peer may spell out a type that has a number; a node never does.

**When each counts.** What is received: RPC when it is complete in the socket thread; capture and log when it is taken from the
queue. What is sent: log, then capture, when it is queued; RPC as the socket takes its bytes, also those of half a message. So
received messages are in RPC first, sent ones last, and at rest all three are equal. The queue of a peer that hangs up, or is hung
up on, is thrown away: what was in it is in neither capture nor log.

**What only RPC has.** Its `*other*` counts types that the node does not know, and messages that the transport threw away without
hanging up (wrong checksum or unprintable type in v1; no such type in v2), which are in no capture, but in the log by lines of
their own. The handshake of v2, and its decoys, are in the totals alone.

**Spelling.** In the log, types lack all but letters, digits and ` .,;-_/:?@()` (util/strencodings.h: SanitizeString), so that
`<ping>` is `ping` there. The numbers 29 to 32 of v2 are reserved; a message with one of them has the type "" in capture and log.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any

from tests.node.harness import Node

OTHER = "*other*"
NUMBERED = frozenset({
    "addr", "block", "blocktxn", "cmpctblock", "feefilter", "filteradd", "filterclear", "filterload", "getblocks",
    "getblocktxn", "getdata", "getheaders", "headers", "inv", "mempool", "merkleblock", "notfound", "ping", "pong",
    "sendcmpct", "tx", "getcfilters", "cfilter", "getcfheaders", "cfheaders", "getcfcheckpt", "cfcheckpt", "addrv2",
})  # fmt: skip
"""Types of one byte in v2 (BIP 324)."""
V1, V2 = 24, 20
"""Bytes of a message besides its payload; in v2 besides its type, too."""
LONG_TYPE = 13
SPELLED_OUT = LONG_TYPE - 1
"""What a message takes more in v2 whose type has a number that is not used."""

Key = tuple[str, bool, str]
"""Address of the peer, whether the node received it, type."""
Sums = dict[Key, tuple[int, int]]
"""Messages, and bytes of their payloads."""
Peers = dict[int, dict[str, Any]]
"""Answer of `getpeerinfo`, by id."""

RECORD = struct.Struct("<Q12sI")
SAID = re.compile(r"(received:|sending) (.*) \((\d+) bytes\) peer=(\d+)$")
REFUSED_V1 = re.compile(r"Header error: (?:Wrong checksum|Invalid message type) \(.*?, (\d+) bytes\).* peer=(\d+)$")
REFUSED_V2 = re.compile(r"V2 transport error: invalid message type \((\d+) bytes contents\), peer=(\d+)$")
UNSAFE = re.compile(r"[^A-Za-z0-9 .,;\-_/:?@()]")


def wire_size(kind: str, messages: int, payload: int, *, v2: bool) -> int:
    """Bytes that messages of a type take with a transport, at least."""
    each = V2 + (1 if kind in NUMBERED or not kind else LONG_TYPE) if v2 else V1
    return payload + messages * each


def captured(node: Node) -> Sums:
    """What the node's capture has. Of a file that is being written the last record may be missing."""
    sums: Sums = {}
    for path in (node.netdir / "message_capture").glob("*/msgs_*.dat"):
        address = path.parent.name.replace("_", ":")
        for kind, size in records(path):
            add(sums, (address, path.name == "msgs_recv.dat", kind), 1, size)
    return sums


def records(path: Path) -> list[tuple[str, int]]:
    """Type and payload bytes of the whole records of a file."""
    data, at, found = path.read_bytes(), 0, []
    while at + RECORD.size <= len(data):
        _, kind, size = RECORD.unpack_from(data, at)
        at += RECORD.size + size
        if at <= len(data):
            found.append((kind.rstrip(b"\0").decode("latin-1"), size))
    return found


def logged(node: Node, peers: Peers) -> Sums:
    """What its log has of its peers; types are spelled as there."""
    sums: Sums = {}
    for line in log_lines(node):
        if (said := SAID.search(line)) and (peer := peers.get(int(said[4]))):
            add(sums, (peer["addr"], said[1] == "received:", said[2]), 1, int(said[3]))
    return sums


def as_logged(sums: Sums) -> Sums:
    """The same with types as the log spells them."""
    found: Sums = {}
    for (address, received, kind), (messages, payload) in sums.items():
        add(found, (address, received, UNSAFE.sub("", kind)), messages, payload)
    return found


def only(sums: Sums, peers: Peers) -> Sums:
    """Those of peers that are there now."""
    addresses = {peer["addr"] for peer in peers.values()}
    return {key: value for key, value in sums.items() if key[0] in addresses}


def refused(node: Node) -> Counter[int]:
    """Bytes on the wire of the messages that the transport threw away without hanging up, by peer, as the log has them."""
    sums: Counter[int] = Counter()
    for line in log_lines(node):
        if found := REFUSED_V1.search(line):
            sums[int(found[2])] += V1 + int(found[1])
        elif found := REFUSED_V2.search(line):
            sums[int(found[2])] += V2 + int(found[1])
    return sums


def log_lines(node: Node) -> list[str]:
    """Lines of its log."""
    return node.log.read_text(errors="replace").splitlines()


def add(sums: Sums, key: Key, messages: int, payload: int) -> None:
    """Count."""
    before = sums.get(key, (0, 0))
    sums[key] = before[0] + messages, before[1] + payload


def counted_more(peers: Peers, sums: Sums, thrown_away: Counter[int]) -> dict[Key, int]:
    """By how many bytes `getpeerinfo` has more than what was seen comes to, where the two differ.

    Args:
        peers: the answer; those whose transport is not decided are left out.
        sums: what was seen of their messages, by whatever means.
        thrown_away: bytes of messages that only the node's transport saw, by peer.
    """
    more: dict[Key, int] = {}
    for number, peer in peers.items():
        if peer["transport_protocol_type"] == "detecting":
            continue
        v2, address = peer["transport_protocol_type"] == "v2", peer["addr"]
        for received in (True, False):
            counted: Counter[str] = Counter(peer["bytesrecv_per_msg" if received else "bytessent_per_msg"])
            known = counted.keys() - {OTHER} if received else None
            seen = on_wire(sums, address, known, received=received, v2=v2)
            if received:
                seen[OTHER] += thrown_away[number]
            more |= {(address, received, k): counted[k] - seen[k] for k in counted.keys() | seen.keys() if counted[k] != seen[k]}
    return more


def on_wire(sums: Sums, address: str, known: set[str] | None, *, received: bool, v2: bool) -> Counter[str]:
    """Bytes on the wire of one peer's messages one way, by type; those that are not `known`, if it is given, are `*other*`."""
    found: Counter[str] = Counter()
    for (whose, way, kind), (messages, payload) in sums.items():
        if (whose, way) == (address, received):
            name = kind if known is None or kind in known else OTHER
            found[name] += wire_size(kind, messages, payload, v2=v2)
    return found
