"""What was not seen."""

from __future__ import annotations

from typing import Annotated

from peerwatch.schema import columns as c
from peerwatch.schema.table import Level, Table


class Loss(Table):
    """Something that was not seen, or not seen whole, and why; ts is when it was noticed."""

    level = Level.LIGHT

    kind: Annotated[str, c.label("dropped, truncated, unreadable, gap, blind, clock or disagreement.")]
    probe: Annotated[str | None, c.label("Probe or part of the source that is concerned.", nullable=True)]
    first_ts: Annotated[int, c.time_ns("Start of the time concerned.")]
    last_ts: Annotated[int, c.time_ns("End of the time concerned.")]
    count: Annotated[int, c.count("Events lost, where it can be told; 0 where it cannot.")]
    bytes: Annotated[int, c.octets("Bytes lost, where it can be told; 0 where it cannot.")]
    reason: Annotated[str, c.text("Why, in one sentence.")]
