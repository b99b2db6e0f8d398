"""Requests and what became of them."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Exchange(Table):
    """One request and its answer on one connection; or a request that was not answered.

    ts and seq are those of the answer, or of what ended the waiting: the closing, a newer request, or the first event after
    the time for an answer was over. Answers that nobody asked for are in `weird`.
    """

    peer: Annotated[int, c.PEER]
    kind: Annotated[
        str, c.label("ping, getaddr, getheaders, getblocktxn, getcfilters, getcfheaders, getcfcheckpt, block or mempool.")
    ]
    inbound: Annotated[bool, c.flag("True when the peer asked, false when the node did.")]
    outcome: Annotated[str, c.label("answered, unanswered, superseded or closed.")]
    asked: Annotated[int, c.time_ns("When it was asked.")]
    duration: Annotated[int, Column("From the request to the answer or end.", pa.int64(), Semantic.DURATION, unit="ns")]
    request: Annotated[int, Column("`seq` of the request.", pa.int64(), Semantic.SEQUENCE)]
