"""Rows that the USDT source makes itself."""

from __future__ import annotations

from peerwatch.sources.usdt.link import Blind, Exited, Process
from peerwatch.sources.usdt.made import SOURCE, MadeRows

PROCESS = Process(
    1, 77, 3, True, "key", "alice", 5, 4, "found", "/usr/bin/bitcoind", "signet",
    ("net:inbound_message", "mempool:added"), {"mempool:rejected": "not there", "utxocache:add": "not understood"},
)  # fmt: skip


def test_nothing_waits_at_first() -> None:
    """An empty maker gives no rows."""
    made = MadeRows("alice", 5, 0)
    assert not made.waiting
    assert made.take() == ({}, {})


def test_rows_are_numbered_over_all_tables() -> None:
    """One sequence for all, without gaps, that goes on where an earlier maker ended, and when rows have been taken."""
    made = MadeRows("alice", 5, 10)
    made.process(PROCESS, 6)
    made.gap((7, 8))
    made.coins(9, {"added": 1, "spent": 2, "uncached": 3})
    assert made.waiting
    first, times = made.take()
    assert not made.waiting
    made.loss("dropped", "why", (1, 2), count=3, nbytes=4)
    second, _ = made.take()
    numbers = {n: b.column("seq").to_pylist() for n, b in first.items()}
    assert numbers == {"node": [10], "loss": [11], "utxocache": [12]}
    assert second["loss"].column("seq").to_pylist() == [13]
    assert made.made == 14
    assert times == {"node": [6], "loss": [8], "utxocache": [9]}
    for batch in (*first.values(), *second.values()):
        row = batch.to_pylist()[0]
        assert (row["node"], row["session"], row["source"]) == ("alice", 5, SOURCE)


def test_a_process_says_what_is_seen_of_it() -> None:
    """Probes attached and missing are in the row, each with why; a process without missing ones has none."""
    made = MadeRows("alice", 5, 0)
    made.process(PROCESS, 6)
    made.process(Process(2, 78, None, True, "key", "alice", 9, None, "started", None, None), 9)
    first, second = made.take()[0]["node"].to_pylist()
    assert (first["event"], first["pid"], first["started"], first["chain"], first["ts"]) == ("found", 77, 4, "signet", 6)
    assert first["probes"] == "net:inbound_message,mempool:added"
    assert first["missing"] == "mempool:rejected: not there; utxocache:add: not understood"
    assert (second["event"], second["started"], second["chain"], second["missing"]) == ("started", None, None, None)


def test_an_end() -> None:
    """The row of an end has its time and process, and nothing that is not known any more."""
    made = MadeRows("alice", 5, 0)
    made.exited(Exited(3, 77, 3, "key", "alice", 5, 99))
    row = made.take()[0]["node"].to_pylist()[0]
    assert (row["event"], row["ts"], row["pid"], row["probes"]) == ("exited", 99, 77, None)


def test_losses_say_when_what_and_why() -> None:
    """Each kind has its span, is noticed at its end, and says how much where that can be told."""
    made = MadeRows("alice", 5, 0)
    made.loss("dropped", "The ring was full.", (10, 20), count=3, nbytes=400)
    made.gap((30, 40))
    made.blind(Blind(4, 60, 50, 60, "mempool:added", None, None, "no such probe"))
    rows = made.take()[0]["loss"].to_pylist()
    assert [(r["kind"], r["probe"], r["first_ts"], r["last_ts"], r["ts"], r["count"], r["bytes"]) for r in rows] == [
        ("dropped", None, 10, 20, 20, 3, 400),
        ("gap", None, 30, 40, 40, 0, 0),
        ("blind", "mempool:added", 50, 60, 60, 0, 0),
    ]
    assert [r["reason"] for r in rows] == ["The ring was full.", "The node was restarted.", "no such probe"]


def test_coins() -> None:
    """Counters of a second become one row of the UTXO cache."""
    made = MadeRows("alice", 5, 0)
    made.coins(9, {"added": 1, "spent": 0, "uncached": 3})
    row = made.take()[0]["utxocache"].to_pylist()[0]
    assert (row["event"], row["ts"], row["added"], row["spent"], row["uncached"], row["coins"]) == ("second", 9, 1, 0, 3, None)
