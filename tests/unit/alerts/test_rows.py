"""Rows of findings and incidents."""

from __future__ import annotations

import json

from peerwatch.alerts.book import IncidentBook
from peerwatch.alerts.rows import AlertRows
from peerwatch.detect._api import Finding, Kind, RowKey, Severity, SubjectKind
from peerwatch.detect.runner import Detected
from peerwatch.schema.tables.finding import Finding as FindingTable
from peerwatch.schema.tables.incident import Incident as IncidentTable
from tests.builders import START, at

KIND = Kind("flood", Severity.PAGE, "A flood.", "addresses", "Look.")


def detected(second: int, subject: str = "7") -> Detected:
    """A finding with evidence."""
    finding = Finding(
        "flood", SubjectKind.PEER, subject, at(1), at(2), 5.0, 100.0, (0.0, 20.0), "flood:alice", peers=(7,),
        evidence=(RowKey("message", 12, "usdt", 99),), query="SELECT 1", completeness=0.5,
    )  # fmt: skip
    return Detected(START + second, "addr_flood", KIND, finding, {7: "203.0.113.7:8333"})


def test_finding_rows():
    """Each finding is a row of the table, with its evidence as row keys, numbered on over calls."""
    rows = AlertRows("alice", 55)
    first, second = rows.findings([detected(3), detected(4)]), rows.findings([detected(9)])
    assert first.schema == FindingTable.arrow
    assert [*first["seq"].to_pylist(), *second["seq"].to_pylist()] == [0, 1, 2]
    row = first.to_pylist()[0]
    assert (row["node"], row["session"], row["source"], row["ts"]) == ("alice", 55, "detect", at(4))
    assert (row["expected_low"], row["expected_high"], row["completeness"]) == (0.0, 20.0, 0.5)
    assert json.loads(row["evidence"]) == [["message", 12, "usdt", 99]]


def test_incident_rows():
    """Each state is a row of the table; peers are JSON of id and address."""
    changes = IncidentBook("alice").take([detected(3)], START + 200)
    batch = AlertRows("alice", 55).incidents(changes)
    assert batch.schema == IncidentTable.arrow
    assert batch["state"].to_pylist() == ["open", "resolved"]
    assert batch["seq"].to_pylist() == [0, 1]
    row = batch.to_pylist()[0]
    assert json.loads(row["peers"]) == [{"id": 7, "address": "203.0.113.7:8333"}]
    assert (row["severity"], row["subject_kind"], row["ts"]) == ("page", "peer", at(4))
    assert row["explanation"].startswith("A flood. Measured: 100 addresses")


def test_nothing_is_no_row():
    """Empty in, empty out, with the table's schema."""
    rows = AlertRows("alice", 1)
    assert rows.findings([]).schema == FindingTable.arrow
    assert rows.incidents([]).num_rows == 0


def test_hostile_subject_is_escaped():
    """A subject that a peer chose cannot control a terminal."""
    row = AlertRows("alice", 1).findings([detected(1, "\x1b[31m")]).to_pylist()[0]
    assert row["subject"] == r"\x1b[31m"
