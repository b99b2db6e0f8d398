"""Incidents as lines in a terminal, or in any stream of text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa

from peerwatch.detect.visible import visible
from peerwatch.schema.batch import SECOND
from peerwatch.sinks._api import SinkUnavailableError

WIDTH = 110
"""Columns of the explanation, which is indented below the line of its incident."""

_WORDS = {"open": "OPEN    ", "updated": "UPDATED ", "resolved": "RESOLVED"}
_RED, _YELLOW, _GREEN, _PLAIN = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;32m", "\x1b[0m"
_COLOURS = {"page": _RED, "notice": _YELLOW, "record": _PLAIN}


class Stream(Protocol):
    """What is needed of a stream of text."""

    def write(self, text: str, /) -> int:
        """Write a text."""

    def flush(self) -> None:
        """Let it be seen."""

    def isatty(self) -> bool:
        """Whether a terminal shows it."""


class Terminal:
    """Writes one line for each state of an incident, and the explanation below it when it opens or gets worse.

    Colours only where the stream is a terminal. Nothing that a peer chose reaches the stream unescaped.
    """

    name = "terminal"

    def __init__(self, stream: Stream) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._severity: dict[str, str] = {}

    def write(self, incidents: pa.RecordBatch) -> None:
        """Write rows of table `incident`.

        Raises:
            SinkUnavailableError: the stream is closed or its reader is gone.
        """
        try:
            for row in incidents.to_pylist():
                self._stream.write(self._lines(row))
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise SinkUnavailableError(str(error)) from error

    def close(self) -> None:
        """The stream is not ours to close."""

    def _lines(self, row: Mapping[str, Any]) -> str:
        state, severity, incident = row["state"], row["severity"], row["incident"]
        when = datetime.fromtimestamp(row["ts"] // SECOND, UTC).strftime("%H:%M:%S")
        head = f"{when} {_WORDS.get(state, state)} {severity} {row['kind']} on {row['node']}, incident {incident}"
        if state == "resolved":
            self._severity.pop(incident, None)
            lasted = (row["last_ts"] - row["first_ts"]) / SECOND
            return self._coloured(_GREEN, f"{head}: over after {lasted:.0f} s, {row['findings']} findings") + "\n"
        told, self._severity[incident] = self._severity.get(incident), severity
        line = self._coloured(_COLOURS.get(severity, _PLAIN), head) + "\n"
        if state == "updated" and told == severity:
            peers = len(json.loads(row["peers"]))
            return self._coloured(_COLOURS.get(severity, _PLAIN), f"{head}: {peers} peers, {row['findings']} findings") + "\n"
        return line + textwrap.fill(visible(row["explanation"]), WIDTH, initial_indent="    ", subsequent_indent="    ") + "\n"

    def _coloured(self, colour: str, text: str) -> str:
        return f"{colour}{visible(text)}{_PLAIN}" if self._stream.isatty() else visible(text)
