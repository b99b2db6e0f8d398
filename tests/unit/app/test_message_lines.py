"""Messages as lines, hostile ones among them."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from rich.console import Console

from peerwatch.app.message_details import Dissected
from peerwatch.app.message_lines import ENTRIES, Lines, json_line
from peerwatch.schema.batch import SECOND

START = 1_793_613_600 * SECOND
EVIL = "\x1b[31m\x1b]0;title\x07[red]bold[/red]\u202e\u200b\u05d0\x00\r\n\x9b2J:skull:"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def message(**more: Any) -> Dissected:
    row = {"node": "alice", "session": 1, "source": "usdt", "seq": 7, "ts": START + 123_456_789, "peer": 12, "inbound": True}
    row |= {"type": "inv", "size": 37, "kept": 37, "unreadable": False, "error": None}
    details = {name: more.pop(name) for name in ("address", "fields", "counts") if name in more}
    return Dissected(row | more, **{"address": None} | details)


def written(*messages: Dissected, nodes: tuple[str, ...] = ("alice",), terminal: bool = False, verbose: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=terminal, highlight=False, width=40, color_system="truecolor" if terminal else None
    )
    Lines(console, verbose=verbose).write(messages, nodes)
    return out.getvalue()


def test_a_line() -> None:
    """Time, direction, peer, type, size, and what it says; the node only where there are several."""
    inv = message(address="203.0.113.7:8333", counts={"inventory": {1: 35}})
    assert written(inv) == "2026-11-02 10:00:00.123  ← 12 203.0.113.7:8333  inv               37 B  35 tx\n"
    shown = written(inv, nodes=("alice", "bobby"))
    assert shown == "2026-11-02 10:00:00.123  alice  ← 12 203.0.113.7:8333  inv               37 B  35 tx\n"
    assert written(message(inbound=False, type="verack", size=0, kept=0)).endswith("  → 12  verack             0 B\n")


def test_what_is_wrong_is_said() -> None:
    """The error, and what is not there to be dissected."""
    assert written(message(error="trailing")).endswith("37 B    error: trailing\n")
    assert written(message(size=4000)).endswith("4000 B    kept 37 B\n")
    assert written(message(kept=0, unreadable=True)).endswith("37 B    unreadable\n")


def test_colours() -> None:
    """Only on a terminal; errors are red, and the text is the same, on one line however narrow it is."""
    wrong = message(address="203.0.113.7:8333", error="trailing", counts={"inventory": {1: 35}})
    shown = written(wrong, terminal=True)
    assert "\x1b[1;31m  error: trailing\x1b[0m" in shown
    assert COLOUR.sub("", shown) == written(wrong)
    assert "\x1b" not in written(wrong)


def test_rows_below() -> None:
    """All columns that are not null; of many rows the first, and how many more there are."""
    entries = [{"idx": n, "kind": 1, "item": n} for n in range(ENTRIES)]
    lines = written(message(fields={"inventory": entries}, counts={"inventory": {1: 33}}), verbose=True).splitlines()
    assert lines[1] == "    inventory: idx 0  kind 1  item 0000000000000000"
    assert lines[-1] == f"    inventory: ... and {33 - ENTRIES} more"
    assert len(lines) == 1 + ENTRIES + 1
    ping = message(type="ping", fields={"ping": [{"pong": False, "nonce": None}]})
    assert written(ping, verbose=True).splitlines()[1:] == ["    ping: pong no"]


def hostile() -> Dissected:
    """Everything that can be text is evil, as in an archive that somebody else made."""
    version = {"protocol": 1, "services": 1, "start_height": None, "relay": None, "user_agent": EVIL * 1000}
    ids = [{"idx": 0, "item": 1, "id": bytes(32)}]
    return message(node=EVIL, type=EVIL, error=EVIL, address=EVIL, fields={"version": [version], "inventory_id": ids})


@pytest.mark.parametrize("verbose", [False, True])
def test_hostile_text_on_a_terminal(verbose: bool) -> None:  # noqa: FBT001 - a parameter
    """Nothing but printable ASCII, our arrows, newlines and our colours reaches it, in lines of bounded length."""
    for terminal in (True, False):
        shown = written(hostile(), nodes=("alice", EVIL), terminal=terminal, verbose=verbose)
        plain = COLOUR.sub("", shown) if terminal else shown
        assert set(plain) <= {*map(chr, range(32, 127)), "\n", "←"}
        assert plain.count("\n") == (3 if verbose else 1)
        assert max(map(len, plain.splitlines())) < 1500
        assert "[red]bold[/red]" in plain
        assert ":skull:" in plain
    addresses = message(counts={"address": {EVIL: 3}})
    assert "3 (\\x1b[31m" in written(addresses)


def test_hostile_text_in_json() -> None:
    """It is one line of ASCII, and says exactly what is in the archive."""
    line = json_line(hostile())
    assert line.isascii()
    assert line.isprintable()
    facts = json.loads(line)
    assert (facts["node"], facts["type"], facts["fields"]["version"][0]["user_agent"]) == (EVIL, EVIL, EVIL * 1000)


def test_json() -> None:
    """The keys that scripts rely on; times exact, hashes as explorers show them."""
    sent = message(type="headers", fields={"headers": [{"headers": 1, "last": bytes(31) + b"\1"}]})
    assert json.loads(json_line(sent)) == {
        "node": "alice", "session": 1, "source": "usdt", "seq": 7, "ts": START + 123_456_789,
        "time": "2026-11-02T10:00:00.123456789Z", "peer": 12, "address": None, "inbound": True, "type": "headers", "size": 37,
        "kept": 37, "error": None, "fields": {"headers": [{"headers": 1, "last": "01" + "00" * 31}]},
    }  # fmt: skip


def test_a_terminal_without_arrows() -> None:
    """Where the encoding has none, other signs stand for them."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    Lines(Console(file=out)).write([message(), message(inbound=False)], ("alice",))
    assert [line.split()[2] for line in out.buffer.getvalue().decode("ascii").splitlines()] == ["<", ">"]  # type: ignore[attr-defined]
