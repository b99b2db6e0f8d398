"""What the messages that fill `block_relay` have in common: parts of varying length that only counts are kept of, and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import Array
from peerwatch.wire.columns import labels, nullable
from peerwatch.wire.dissector import Dissected, WireError
from peerwatch.wire.layout import Cursor
from peerwatch.wire.transactions import MAX_SIZE, Malformed, Walked

MESSAGES = ("block", "cmpctblock", "merkleblock", "getblocktxn", "blocktxn")
"""Values of the column `message`."""
MAX_INDEX = 0xFFFF
"""Largest index of a transaction in its block that BIP 152 can tell (Core, blockencodings.h: "indexes overflowed 16 bits")."""

_GOES_ON = -1
"""No WireError: a payload whose reading goes on."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Of each payload, what its transactions add up to (int64), and whether all of them were there."""

    inputs: Array
    outputs: Array
    weight: Array
    whole: Array

    def columns(self) -> dict[str, pa.Array]:
        """As columns of `block_relay`."""
        sums = {"inputs": self.inputs, "outputs": self.outputs, "weight": self.weight}
        return {name: nullable(values, self.whole) for name, values in sums.items()}


def count(c: Cursor, least: int) -> Array:
    """Read how many parts follow, of at least so many bytes each (int64).

    More than any message may hold is OVER_LIMIT. More than can be in the bytes that were sent is TRUNCATED, also where we cut.
    Both stop, and nothing is done for such a count.
    """
    counts = c.length(MAX_SIZE)
    c.fail(counts > (c.end - c.pos) // least, WireError.TRUNCATED)
    return counts


def walked(c: Cursor, counts: Array, walk: Callable[[bytes, int], Walked]) -> Sums:
    """Pass over `counts` parts of each payload with `walk`, which is given the rest of its kept bytes, and the count."""
    found = np.zeros((len(counts), 3), np.int64)
    pos = c.pos.copy()
    stop = np.full(len(counts), _GOES_ON, np.int8)
    view = c.buf.data
    for i in np.flatnonzero(c.live).tolist():
        at, limit = int(c.pos[i]), int(c.limit[i])
        try:
            size, *found[i] = walk(view[at:limit].tobytes(), int(counts[i]))
            pos[i] += size
        except IndexError:
            stop[i] = WireError.TRUNCATED if limit == c.end[i] else WireError.NONE
        except Malformed as malformed:
            stop[i] = malformed.error
    c.pos = pos
    for code in np.unique(stop[stop != _GOES_ON]).tolist():
        c.fail(stop == code, WireError(code))
    inputs, outputs, weight = found.T
    return Sums(inputs, outputs, weight, c.live)


def rows(message: str, columns: Mapping[str, pa.Array], seen: Array, c: Cursor) -> Dissected:
    """One row for each payload of the mask `seen`, whose `columns` have a value for all payloads. Nothing is read after this."""
    of = np.flatnonzero(seen)
    if len(of) < len(seen):
        columns = {name: column.filter(pa.array(seen)) for name, column in columns.items()}
    kind = labels(np.full(len(of), MESSAGES.index(message)), MESSAGES)
    return Dissected({"message": kind, **columns}, of, c.finish())
