"""What detectors found."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Finding(Table):
    """One finding of one detector: a measured value outside of what is expected."""

    level = Level.LIGHT

    detector: Annotated[str, c.label("Detector that found it.")]
    kind: Annotated[str, c.label("Kind of finding, one of those that the detector declares.")]
    subject_kind: Annotated[str, c.label("peer, address, netgroup, asn, entity, node or fleet.")]
    subject: Annotated[str, c.text("Whom it is about; for a peer its id.", untrusted=True)]
    first_ts: Annotated[int, c.time_ns("Start of what was found.")]
    last_ts: Annotated[int, c.time_ns("End of what was found so far.")]
    score: Annotated[float, Column("How far from expected, 1 at the threshold.", pa.float64(), Semantic.NUMBER)]
    measured: Annotated[float, Column("The measured value, in the unit that the kind declares.", pa.float64(), Semantic.NUMBER)]
    expected_low: Annotated[float, Column("Lower end of what is expected.", pa.float64(), Semantic.NUMBER)]
    expected_high: Annotated[float, Column("Upper end of what is expected.", pa.float64(), Semantic.NUMBER)]
    evidence: Annotated[str, c.text("Row keys, as JSON [[table, session, source, seq], …].")]
    query: Annotated[str, c.text("SQL that shows the rows behind it.")]
    completeness: Annotated[
        float, Column("Share of the events in its time that were seen, 0 to 1.", pa.float64(), Semantic.NUMBER)
    ]
    identifier: Annotated[str, c.text("Equal for findings that are about the same thing.")]
