"""What was wrong, and what was strange."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Weird(Table):
    """Something that a peer (or the node) should not have done, all of one kind, type and peer in one second.

    ts and seq are those of the first event after that second, with which the row became known, or of the last event when the
    source ended before. What the kinds are stands in docs/reference/weirds.md. When there is more of it in a second than is kept
    apart, the rest is summed up: of one peer by kind, as type `*other*`; of all by direction and kind, as peer -1 as well. When
    the watcher was stopped in a second and started again, that second may have two rows, which add up; when it crashed, what it
    saw last may be in none.

    What events were lost becomes known up to a second after they were: until the `loss` row comes, something may be called
    unasked for that was asked for in one of them.
    """

    level = Level.LIGHT

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    type: Annotated[str, c.label("Type of the message, as in `message`.", untrusted=True)]
    kind: Annotated[str, c.label("What is wrong or strange, out of a closed set.")]
    first_ts: Annotated[int, c.time_ns("When the first such message came.")]
    first: Annotated[int, Column("`seq` of that message.", pa.int64(), Semantic.SEQUENCE)]
    count: Annotated[int, c.count("Messages in that second.")]
    size: Annotated[int, c.octets("Payload bytes of the first one.", pa.uint32())]
    head: Annotated[
        bytes | None,
        Column(
            "Bytes that the payload of the first one begins with, at most 32; null when nothing was kept.",
            pa.binary(),
            Semantic.BYTES,
            unit="B",
            nullable=True,
            untrusted=True,
        ),
    ]
