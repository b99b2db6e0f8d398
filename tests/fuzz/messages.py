"""Fuzz target: a batch of messages must never make `dissect` raise, and every message must come out as the plain decoder has it.

The plain decoder is instrumented, too: dissectors work on whole arrays and have few branches to be guided by, and it has one for
every case of the protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from peerwatch.wire.raw import KNOWN_TYPES
from tests.reference.decode import LONGEST, Sent, decode, dissected, layouts, raw
from tests.wireproof.examples import captured, made

STRANGE = "nosuchtype"
"""Stands for every type that is not known."""
MOST = 16
"""Messages of a batch."""

WHOLE, CLAIMED = 255, 254
"""How much was kept: everything; or so little of so much that no node would take it. Below: that many 254ths of what was sent."""

_HEAD = struct.Struct("<BBH")


def messages(data: bytes) -> list[Sent]:
    """What an input stands for. A message is a byte for its type, one for what was kept, its length (u16), and its payload; the
    last one takes what is there.
    """
    sent: list[Sent] = []
    at = 0
    while at + _HEAD.size <= len(data) and len(sent) < MOST:
        code, keep, length = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + length]
        at += _HEAD.size + length
        kind = KNOWN_TYPES[code] if code < len(KNOWN_TYPES) else STRANGE
        kept = payload[: len(payload) * keep // CLAIMED] if keep < CLAIMED else payload
        sent.append((kind, kept, LONGEST + 1 if keep == CLAIMED else len(payload)))
    return sent


def written(batch: list[tuple[str, bytes]]) -> bytes:
    """An input that stands for these whole messages (type, payload)."""
    heads = [_HEAD.pack(KNOWN_TYPES.index(kind), WHOLE, len(payload)) for kind, payload in batch]
    return b"".join(head + payload for head, (_, payload) in zip(heads, batch, strict=True))


def one_input(data: bytes) -> None:
    """Try one input.

    Raises:
        AssertionError: the two decoders do not agree.
    """
    sent = messages(data)
    ours = dissected(raw(sent))
    for message, result in zip(sent, ours, strict=True):
        kind, kept, size = message
        expected = decode(*message) if kind in layouts() else ([], "oversized" if size > LONGEST else None)
        if result != expected:
            raise AssertionError(f"{kind}, {size} bytes sent, kept {kept.hex()}:\n  dissected {result}\n  plainly   {expected}")


def seeds(longest: int) -> Iterator[bytes]:
    """Inputs to begin with: what the captures and the plain decoder's strategies have of each type, alone, and some together."""
    rng = np.random.default_rng(1)
    alone: list[tuple[str, bytes]] = []
    for kind in KNOWN_TYPES:
        found = sorted({p for k, p in captured() if k == kind})
        picked = [found[i] for i in rng.permutation(len(found))[:20]]
        payloads = (*picked, *(made(kind) if kind in layouts() else ()))
        alone += [(kind, payload) for payload in payloads if len(payload) + _HEAD.size <= longest]
    yield from (written([message]) for message in alone)
    short = [message for message in alone if len(message[1]) < longest // MOST - _HEAD.size]
    for _ in range(50):
        yield written([short[i] for i in rng.integers(0, len(short), rng.integers(2, MOST))])
