"""How transactions are relayed."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Relay(Table):
    """Announce, request, deliver: transactions of one connection and direction in one minute of event time.

    `inbound` is the direction in which transactions move: true from the peer to the node. ts and seq are those of the first event
    after the minute, with which the row became known, or of the last event when the source ended before. A minute has one row
    for each connection and direction with anything to count. When the watcher was stopped in a minute and started again it may
    have two, which add up; when it crashed, what it saw last may be in none.

    An answer ends all requests for its transaction; the delay counts from the last of them.
    """

    level = Level.LIGHT

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.flag("True when the peer announces and delivers, false when the node does.")]
    minute: Annotated[int, c.time_ns("Start of the minute.")]
    announced: Annotated[int, c.count("Transactions announced by `inv`.")]
    requested: Annotated[int, c.count("Transactions asked for by `getdata`.")]
    delivered: Annotated[int, c.count("Transactions delivered that had been asked for.")]
    not_found: Annotated[int, c.count("Transactions asked for and answered by `notfound`.")]
    unasked: Annotated[int, c.count("Transactions delivered that had not been asked for.")]
    unanswered: Annotated[int, c.count("Requests that were not answered in time (Core: GETDATA_TX_INTERVAL, 60 s).")]
    delay_sum: Annotated[int, Column("Sum of the times from request to delivery.", pa.int64(), Semantic.DURATION, unit="ns")]
    delay_max: Annotated[int, Column("Longest time from request to delivery.", pa.int64(), Semantic.DURATION, unit="ns")]
