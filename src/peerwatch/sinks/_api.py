"""What a sink is: it writes states of incidents somewhere. Rows come in the order in which they happened.

A sink's only judgement is whether trying again makes sense; queueing, retries, back-off and counting belong to who runs it.
"""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa


class SinkUnavailableError(Exception):
    """It did not work now, and may later: try the same rows again."""


class SinkRefusedError(Exception):
    """It will not work for these rows, however often: count them as refused and go on."""


class Sink(Protocol):
    """Where incidents go."""

    name: str
    """Name in the configuration and in counters."""

    def write(self, incidents: pa.RecordBatch) -> None:
        """Write rows of table `incident`. What peers chose in them is bounded but has to be escaped for where it goes.

        Raises:
            SinkUnavailableError: try again later.
            SinkRefusedError: never try these again.
        """

    def close(self) -> None:
        """Give back what it holds. May be called twice."""
