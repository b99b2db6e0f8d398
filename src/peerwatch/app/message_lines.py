"""Messages as lines: for people, in colour where the terminal allows it, or as JSON. What they hold is escaped once more."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

from rich.console import Console
from rich.text import Text

from peerwatch.app.describe import DESCRIPTIONS, shown
from peerwatch.app.message_details import Dissected
from peerwatch.app.message_fields import json_fields, text_fields, utc

ENTRIES = 10
"""Rows of one message that are shown of each table; how many more there are is said."""

_LONGEST_ROW = 400
_LONGEST_LINE = 300
_TYPE_WIDTH = 11
_SIZE_WIDTH = 10


class Lines:
    """Writes messages for people: a line each, and with `verbose` their rows of other tables below it."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        """Write to `console`."""
        self._console = console
        self._verbose = verbose
        self._terminal = console.is_terminal
        self._peer_width = self._node_width = 0
        self._arrows = "→←" if console.encoding.lower().startswith("utf") else "><"

    def write(self, messages: Collection[Dissected], nodes: Collection[str]) -> None:
        """Write messages of an archive with these nodes; which of them is told when there are several."""
        if len(nodes) > 1:
            self._node_width = max(len(shown(node)) for node in nodes)
        self._peer_width = max([self._peer_width, *(len(_peer(each)) for each in messages)])
        for each in messages:
            self._print(self._line(each))
            if self._verbose:
                for line in _rows(each):
                    self._print([(f"    {line}", "dim")])
        self._console.file.flush()

    def _print(self, parts: list[tuple[str, str]]) -> None:
        if self._terminal:
            self._console.print(Text.assemble(*parts), soft_wrap=True)  # a Text is taken as it is: no markup in it counts
        else:
            self._console.file.write("".join(text for text, _ in parts).rstrip() + "\n")

    def _line(self, each: Dissected) -> list[tuple[str, str]]:
        row = each.message
        node = [(f"{shown(row['node']):<{self._node_width}}  ", "magenta")] if self._node_width else []
        parts = [
            (f"{utc(row['ts'], 3)}  ", "dim"),
            *node,
            (f"{self._arrows[row['inbound']]} ", "green" if row["inbound"] else "blue"),
            (f"{_peer(each):<{self._peer_width}}  ", ""),
            (f"{shown(row['type']):<{_TYPE_WIDTH}} ", "bold"),
            (f"{row['size']} B".rjust(_SIZE_WIDTH), "dim"),
            (f"  {_says(each)}", ""),
        ]
        if row["unreadable"]:
            parts.append(("  unreadable", "yellow"))
        elif row["kept"] < row["size"]:
            parts.append((f"  kept {row['kept']} B", "yellow"))
        if row["error"]:
            parts.append((f"  error: {shown(row['error'])}", "bold red"))
        return parts


def _peer(each: Dissected) -> str:
    """The peer's id, and its address where that is known."""
    return f"{each.message['peer']} {shown(each.address)}" if each.address else str(each.message["peer"])


def _says(each: Dissected) -> str:
    """The description of a message, where it has one."""
    for name, counts in each.counts.items():
        return shown(DESCRIPTIONS[name].says(counts), _LONGEST_LINE)
    for name, rows in each.fields.items():
        description = DESCRIPTIONS.get(name)
        if description is not None and description.by is None:
            return shown(description.says(rows[0]), _LONGEST_LINE)
    return ""


def _rows(each: Dissected) -> Iterator[str]:
    """The rows of a message, of each table the first so many."""
    for name, rows in each.fields.items():
        for row in rows[:ENTRIES]:
            fields = "  ".join(f"{column} {shown(value, _LONGEST_ROW)}" for column, value in text_fields(name, row).items())
            yield f"{name}: {fields}"
        if (more := sum(each.counts.get(name, {}).values()) - ENTRIES) > 0:
            yield f"{name}: ... and {more} more"


def json_line(each: Dissected) -> str:
    """A message as one JSON object, in ASCII: control characters and everything else that is strange are escapes in it."""
    row = each.message
    facts = {name: row[name] for name in ("node", "session", "source", "seq", "ts")}
    facts["time"] = f"{utc(row['ts']).replace(' ', 'T')}Z"
    facts |= {"peer": row["peer"], "address": each.address}
    facts |= {name: row[name] for name in ("inbound", "type", "size", "kept", "error")}
    facts["fields"] = {name: [json_fields(name, r) for r in rows] for name, rows in each.fields.items()}
    return json.dumps(facts, allow_nan=False)
