"""`peerwatch messages`: what nodes and peers said to each other, from history or as it is recorded."""

from __future__ import annotations

import difflib
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console

from peerwatch.app import message_filter
from peerwatch.app.describe import shown
from peerwatch.app.message_details import Dissected, Wanted
from peerwatch.app.message_fields import utc
from peerwatch.app.message_filter import Filter
from peerwatch.app.message_lines import ENTRIES, Lines, json_line
from peerwatch.app.messages import Messages
from peerwatch.cli import options
from peerwatch.cli.main import fail
from peerwatch.store.errors import ArchiveError, QueryError
from peerwatch.wire.raw import KNOWN_TYPES

POLL_S = 0.5
"""Pause between two looks for what is new; it is recorded at least once a second."""

MOST_LAST = 100_000
"""Messages counted backwards; for more there is a time to begin at."""

ANY = "any"


class Checked(click.ParamType[tuple[str, ...]]):
    """One value or several, comma-separated, each looked at by a function that raises ValueError."""

    def __init__(self, name: str, check: Callable[[str], str]) -> None:
        """Show `name` as what is expected."""
        self.name = name
        self._check = check

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The values."""
        try:
            return tuple(self._check(text) for text in str(value).split(","))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[int]):
    """A time, absolute or so long ago."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Nanoseconds since 1970."""
        try:
            return message_filter.moment(str(value), time.time_ns())
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Last(click.ParamType[int]):
    """A number, or `all` (-1)."""

    name = "N|all"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """A number of messages."""
        text = str(value)
        if text in {"all", "-1"}:
            return -1
        if not text.isdecimal() or int(text) > MOST_LAST:
            self.fail(f"{text!r} is neither a number up to {MOST_LAST} nor all", param, ctx)
        return int(text)


def _error(text: str) -> str:
    return text if text == ANY else message_filter.error(text)


@click.command("messages")
@options.archive
@click.option("--follow", "-f", is_flag=True, help="Go on with what is recorded from now on, until interrupted.")
@click.option("--node", help="Only messages of this node.")
@click.option(
    "--peer", "peers", type=Checked("id|address", message_filter.peer), multiple=True, help="Only messages of these peers."
)
@click.option(
    "--type", "types", type=Checked("type", message_filter.type_name), multiple=True, help="Only messages of these types."
)
@click.option("--in/--out", "inbound", default=None, help="Only messages that peers sent, or that the node sent.")
@click.option(
    "--error",
    "errors",
    type=Checked("kind", _error),
    is_flag=False,
    flag_value=ANY,
    help="Only wrong messages, of any kind or one.",
)
@click.option(
    "--since", type=Moment(), help="Not before this: a time in UTC (2026-11-02T10:00) or so long ago (90s, 10m, 2h, 3d)."
)
@click.option("--until", type=Moment(), help="Before this.")
@click.option("--last", type=Last(), default=50, show_default=True, help="Only the last so many of history, or all.")
@click.option("--verbose", "-v", is_flag=True, help=f"Show the rows of each message, the first {ENTRIES} where there are many.")
@options.as_json
def command(*, archive: Path, follow: bool, last: int, verbose: bool, as_json: bool, **chosen: Any) -> None:
    """Show messages, dissected: when, from or to whom, of what type and size, what they say, and what is wrong with them.

    `←` is what a peer sent to the node, `→` what the node sent. An option that takes values takes several, comma-separated.

    \b
    Examples:
      peerwatch messages --follow --type addr,addrv2 --in
      peerwatch messages --peer 203.0.113.7 --error --since 2h --last all
    """
    if follow and chosen["until"] is not None:
        raise click.UsageError("--follow goes on and on, --until ends: give one of them")
    wanted = _filter(**chosen)
    many = last if last >= 0 else None
    try:
        messages = Messages(archive, wanted, Wanted(not as_json, None if as_json else ENTRIES if verbose else 0))
        write = _write_json if as_json else _writer(messages, verbose=verbose)
        with _ending() as ended:
            pages = messages.follow(many, lambda: ended(POLL_S)) if follow else messages.history(many)
            any_shown = _show(pages, write, ended)
        if not (any_shown or follow or as_json):
            click.echo(_nothing(archive, messages, wanted))
    except (ArchiveError, QueryError) as error:
        raise fail(str(error)) from error


def _filter(**chosen: Any) -> Filter:
    """The filter that options say."""
    peers, types = (tuple(each for group in chosen[name] for each in group) for name in ("peers", "types"))
    errors = chosen["errors"]
    return Filter(
        node=chosen["node"],
        peers=peers,
        types=types,
        inbound=chosen["inbound"],
        errors=() if errors and ANY in errors else errors,
        since=chosen["since"],
        until=chosen["until"],
    )


def _writer(messages: Messages, *, verbose: bool) -> Callable[[list[Dissected]], None]:
    lines = Lines(Console(file=sys.stdout, highlight=False), verbose=verbose)
    return lambda page: lines.write(page, messages.nodes)


def _write_json(page: list[Dissected]) -> None:
    sys.stdout.write("".join(f"{json_line(each)}\n" for each in page))
    sys.stdout.flush()


def _show(pages: Iterator[list[Dissected]], write: Callable[[list[Dissected]], None], ended: Callable[[float], bool]) -> bool:
    """Write pages until there are no more or nobody wants more. Returns whether there was any message."""
    any_shown = False
    for page in pages:
        write(page)
        any_shown |= bool(page)
        if ended(0):
            break
    return any_shown


@contextmanager
def _ending() -> Iterator[Callable[[float], bool]]:
    """Gives a function that waits so many seconds, or until there is a reason to end, and says whether there is one.

    The reasons: an interrupt (Ctrl-C; a second one breaks off what goes on), and that nobody reads the output any more.
    """
    interrupted = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True

    reader = select.poll()
    with suppress(OSError, ValueError):  # what has no file number has no reader that could go
        reader.register(sys.stdout.fileno(), 0)
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield lambda seconds: interrupted or bool(reader.poll(seconds * 1000)) or interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _nothing(archive: Path, messages: Messages, wanted: Filter) -> str:
    """Why nothing was shown, and what to do about it."""
    span = messages.span()
    if span is None and messages.counted():
        return f"{archive} is recorded at level light, which keeps no message for longer than minutes; see `peerwatch tables`"
    if span is None:
        return (
            f"no message is recorded in {archive}; `peerwatch run` records those of this machine's nodes, "
            "`peerwatch replay` those of a capture"
        )
    text = f"no message fits; there are messages from {utc(span.first, 3)} to {utc(span.last, 3)} UTC"
    if wanted.node is not None and wanted.node not in messages.nodes:
        return f"{text}, of {', '.join(sorted(map(shown, messages.nodes)))}"
    strange = [(name, difflib.get_close_matches(name, KNOWN_TYPES, 1)) for name in wanted.types if name not in KNOWN_TYPES]
    return text + "".join(f"; did you mean {near[0]} with {name}?" for name, near in strange if near)
