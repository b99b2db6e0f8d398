"""What every detector has to hold, found by walking the registry."""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from peerwatch.detect._api import Detector, Severity
from peerwatch.detect.registry import all_detectors
from peerwatch.detect.runner import Detected, Runner
from peerwatch.schema.batch import SECOND, Batch, Rows
from peerwatch.schema.tables.address import Address
from peerwatch.schema.tables.connection import Connection
from peerwatch.schema.tables.message import Message
from tests.builders import IDENTITY, START, Stream, at, cut, flood, gossip, honest_addresses

NAMES = sorted(all_detectors())


def storm(seed: int = 1) -> Stream:
    """Everything that any detector looks for, and what is hostile or rare: late rows, restarts, odd values, unknown peers."""
    rng = np.random.default_rng(seed)
    stream = Stream()
    for peer in range(12):
        stream.opened(at(0), peer, event="described", established=at(-20_000), conn_type="inbound")
    for peer in range(12):
        gossip(stream, rng, peer, (1, 600))
        for nth in range(20):
            stream.addr(at(300 + nth * 15 + peer / 10), peer, honest_addresses(rng, 5), [START] * 5, kind="addrv2")
    for peer in (20, 21):
        stream.opened(at(620), peer)
        stream.version(at(620), peer, clock=2**40)
        stream.version(at(620), peer, inbound=False)
        flood(stream, rng, peer, 621, messages=60, every=0.1)
    stream.opened(at(640), 22, conn_type="outbound-full-relay")
    stream.message(at(640.5), 22, "getaddr", inbound=False, size=0)
    stream.addr(at(641), 22, honest_addresses(rng, 1000), np.zeros(1000))
    stream.addr(at(641.1), 22, honest_addresses(rng, 300), np.full(300, 2**32 - 1))
    stream.loss(at(645), "dropped", count=900, first=at(630))
    stream.loss(at(646), "blind", probe="mempool:added")
    stream.loss(at(646), "clock", first=at(645))
    stream.addr(at(600), 20, honest_addresses(rng, 10), [START] * 10, size=30_003, kept=303)
    for second in range(650, 1000):
        stream.message(at(second), 3, "inv")
    stream.closed(at(1000), 20)
    stream.node(at(1400), "exited")
    stream.node(at(1500), "started", started=at(1500))
    stream.opened(at(1501), 20)
    stream.message(at(9000), -5, "x" * 12, error="truncated")
    stream.addr(at(9000), 2**62, honest_addresses(rng, 50), [0] * 50)
    result = stream.sorted()
    for ts in (700, 8000):  # late
        result.addr(at(ts), 21, honest_addresses(rng, 30), [START] * 30)
    return result


@pytest.fixture(scope="module")
def batch() -> Batch:
    """The storm as one batch."""
    return storm().batch(at(9400))


def feed(detector: Detector, batches: Sequence[Batch]) -> list[Detected]:
    """What one detector finds, without anything failing."""
    runner = Runner("alice", [detector])
    found = [each for batch in batches for each in runner.feed(batch)] + runner.finish()
    assert [r.failures for r in runner.running.values()] == [0], found
    return found


@pytest.mark.parametrize("name", NAMES)
def test_documents_itself(name):
    """Docstrings, sources, kinds with meaning, advice and what is normal, options with unit, meaning and basis."""
    cls = all_detectors()[name]
    module = inspect.getdoc(inspect.getmodule(cls)) or ""
    assert len(module.split("\n\n")) >= 3
    assert "alse alarm" in module
    assert inspect.getdoc(cls)
    assert cls.title
    assert cls.references
    assert all(re.fullmatch(r"A\d\d", row) for row in cls.catalogue)
    assert len({kind.name for kind in cls.kinds}) == len(cls.kinds) > 0
    for kind in cls.kinds:
        assert isinstance(kind.severity, Severity)
        assert kind.unit
        for sentence in (kind.meaning, kind.advice, kind.normal):
            assert sentence.endswith(".")
            assert sentence.isascii()
    for option in cls.options.values():
        assert option.unit
        assert option.doc.endswith(".")
        assert option.basis.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_reads_what_tables_have(name):
    """Tables and columns that it declares exist."""
    for table, columns in all_detectors()[name].reads.items():
        assert set(columns) <= set(table.columns)


@pytest.mark.parametrize("name", NAMES)
def test_options(name):
    """Given options replace defaults for this one only; unknown ones are refused by name."""
    cls = all_detectors()[name]
    first = next(iter(cls.options))
    assert cls({first: 123}).settings[first] == 123
    assert cls().settings == {key: option.default for key, option in cls.options.items()}
    with pytest.raises(ValueError, match="has no option nonsense"):
        cls({"nonsense": 1})


@pytest.mark.parametrize("name", NAMES)
def test_any_cut_gives_the_same_findings(name, batch):
    """Events in batches of 1, 7, 1000, all, and at random."""
    cls = all_detectors()[name]
    expected = feed(cls(), [batch])
    assert expected, "the storm has something for every detector"
    for size in (1, 7, 1000):
        assert feed(cls(), list(cut(batch, size))) == expected
    parts = list(cut(batch, 3))
    rng = np.random.default_rng(5)
    found, runner = [], Runner("alice", [cls()])
    for part in parts:
        found += runner.feed(part)
        if rng.random() < 0.3:
            found += runner.feed(Batch(IDENTITY, part.watermark, {}, np.zeros(0, np.int64), {}))
    assert found + runner.finish() == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.1, 0.55, 0.9])
def test_snapshot_goes_on_as_if_nothing_had_happened(name, batch, share):
    """State through JSON in the middle of the storm."""
    cls = all_detectors()[name]
    parts = list(cut(batch, 11))
    middle = int(len(parts) * share)
    first, second = Runner("alice", [cls()]), Runner("alice", [cls()])
    found = [each for part in parts[:middle] for each in first.feed(part)]
    second.restore(json.loads(json.dumps(first.snapshot())))
    found += [each for part in parts[middle:] for each in second.feed(part)]
    assert found + second.finish() == feed(cls(), [batch])


@pytest.mark.parametrize("name", NAMES)
def test_clock_set_back(name):
    """The storm, and after the clock was set back another one: the same for any cut and after a snapshot; it finds again."""
    cls, stream, other = all_detectors()[name], storm(), storm(2)
    stream.loss(at(-10), "clock", first=at(9000))
    stream.append(other)
    batch = stream.batch(at(9400))
    expected = feed(cls(), [batch])
    alone = feed(cls(), [other.batch(at(9400))])
    assert {each.finding.kind for each in expected if each.back_s} >= {each.finding.kind for each in alone}
    parts = list(cut(batch, 13))
    assert feed(cls(), parts) == expected
    for middle in (len(parts) * 2 // 5, len(parts) * 3 // 4):
        first, second = Runner("alice", [cls()]), Runner("alice", [cls()])
        found = [each for part in parts[:middle] for each in first.feed(part)]
        second.restore(json.loads(json.dumps(first.snapshot())))
        found += [each for part in parts[middle:] for each in second.feed(part)] + second.finish()
        assert [each.finding for each in found] == [each.finding for each in expected]


@pytest.mark.parametrize("name", NAMES)
def test_input_is_not_changed(name):
    """Detectors only look."""
    batch = storm(2).batch()
    before = {table: pa.RecordBatch.from_pylist(rows.to_pylist(), schema=rows.schema) for table, rows in batch.tables.items()}
    feed(all_detectors()[name](), [batch])
    assert all(rows.equals(before[table]) for table, rows in batch.tables.items())


@pytest.mark.parametrize("name", NAMES)
def test_reads_only_what_it_declares(name, batch):
    """With all other tables and columns gone it finds the same."""
    cls = all_detectors()[name]
    columns = {table.name: list(names) for table, names in cls.reads.items()}
    kept = {table: rows.select(columns[table]) for table, rows in batch.tables.items() if table in columns}
    other = Batch(batch.identity, batch.watermark, kept, batch.events, batch.event_of)
    detector, whole = cls(), feed(cls(), [batch])
    detector.node = "alice"
    found = []
    for second in _seconds(other):
        found += list(detector.update(_rows(other, second)))
        found += list(detector.tick(second))
    dense = {(each.second, each.finding.kind, each.finding.subject) for each in whole if each.second in _seconds(other)}
    assert {(f.kind, f.subject) for f in found} >= {(kind, subject) for _, kind, subject in dense}


def _seconds(batch: Batch) -> list[int]:
    return sorted(set((np.maximum.accumulate(batch.events) // SECOND).tolist()))


def _rows(batch: Batch, second: int) -> dict[str, Rows]:
    seconds = np.maximum.accumulate(batch.events) // SECOND
    low, high = np.searchsorted(seconds, [second, second + 1])
    result = {}
    for name, table in batch.tables.items():
        first, stop = np.searchsorted(batch.event_of[name], [low, high]).tolist()
        if stop > first:
            result[name] = Rows(table.slice(first, stop - first))
    return result


@pytest.mark.parametrize("name", NAMES)
def test_missing_tables_and_columns_do_not_break_it(name, batch):
    """Each table in turn absent, and each without its last declared column."""
    cls = all_detectors()[name]
    for table, columns in cls.reads.items():
        for tables in (
            {t: rows for t, rows in batch.tables.items() if t != table.name},
            {t: rows.drop_columns([columns[-1]]) if t == table.name else rows for t, rows in batch.tables.items()},
        ):
            feed(cls(), [Batch(batch.identity, batch.watermark, tables, batch.events, batch.event_of)])


@pytest.mark.parametrize("name", NAMES)
def test_nulls_do_not_break_it(name, batch):
    """Every nullable column null everywhere."""
    tables = {}
    for table, rows in batch.tables.items():
        columns = [pa.nulls(len(rows), f.type) if f.nullable else rows.column(f.name) for f in rows.schema]
        tables[table] = pa.RecordBatch.from_arrays(columns, schema=rows.schema)
    feed(all_detectors()[name](), [Batch(batch.identity, batch.watermark, tables, batch.events, batch.event_of)])


@pytest.mark.parametrize("name", NAMES)
def test_a_million_keys_are_bounded(name):
    """Each of 10^6 messages from another peer, with another address: state stays below 30 MB, and nothing fails."""
    detector, n = all_detectors()[name](), 100_000
    runner = Runner("alice", [detector])
    for part in range(10):
        runner.feed(_many(np.arange(part * n, (part + 1) * n), at(part * 10)))
    assert [r.failures for r in runner.running.values()] == [0]
    assert len(json.dumps(detector.snapshot())) < 30e6


def _many(peers: np.ndarray, start: int) -> Batch:
    """One opening and one addr message of one address for each peer, over ten seconds."""
    n = len(peers)
    events = start + np.arange(n) * (10 * SECOND // n)
    ip = np.zeros((n, 16), np.uint8)
    ip[:, 8:] = peers.astype(">u8").view(np.uint8).reshape(n, 8)
    one, label = np.ones(n, bool), pa.array(["ipv6"] * n)
    common = {"ts": events, "seq": peers, "peer": peers}
    address = {"idx": np.zeros(n, np.int32), "inbound": one, "time": np.zeros(n, np.uint32), "services": np.zeros(n, np.uint64)}
    message = {
        "inbound": one,
        "type": pa.array(["addr"] * n),
        "size": np.full(n, 33, np.uint32),
        "kept": np.full(n, 33, np.uint32),
    }
    tables = {
        "address": Address.build(IDENTITY, common | address | {"network": label, "ip": ip, "port": np.zeros(n, np.uint16)}),
        "message": Message.build(IDENTITY, common | message | {"unreadable": ~one}),
        "connection": Connection.build(IDENTITY, common | {"event": pa.array(["opened"] * n)}),
    }
    return Batch(IDENTITY, int(events[-1]), tables, events, {name: np.arange(n) for name in tables})


@pytest.mark.parametrize("name", NAMES)
def test_quiet_where_nothing_happens(name):
    """Ten minutes of an honest node give no finding at all."""
    rng = np.random.default_rng(3)
    stream = Stream()
    for peer in range(20):
        stream.opened(at(peer / 10), peer)
        stream.version(at(peer / 10), peer, inbound=False)
        stream.version(at(peer / 10), peer)
        gossip(stream, rng, peer, (10, 600))
        for nth in range(100):
            stream.message(at(3 + nth * 6 + rng.uniform(0, 6)), peer, "inv", size=37)
    assert feed(all_detectors()[name](), [stream.sorted().batch()]) == []


@pytest.mark.parametrize("name", NAMES)
def test_findings_are_well_formed(name, batch):
    """Declared kinds, finite values above the threshold, times in order, evidence that exists, bounded peers and text."""
    cls = all_detectors()[name]
    declared = {kind.name for kind in cls.kinds}
    seqs = {table: set(rows["seq"].to_pylist()) for table, rows in batch.tables.items()}
    for each in feed(cls(), [batch]):
        found = each.finding
        assert found.kind in declared
        assert found.first_ts <= found.last_ts
        assert np.isfinite([found.score, found.measured, *found.expected]).all()
        assert found.score >= 1
        assert 0 <= found.completeness <= 1
        assert "alice" in found.identifier
        assert len(found.peers) <= 64
        assert found.query.startswith("SELECT ")
        assert all(key.seq in seqs[key.table] for key in found.evidence)
        assert json.loads(json.dumps(dict(found.facts))) == dict(found.facts)


def test_example_of_the_guide_works():
    """The detector in docs/howto/add-a-detector.md finds a peer that pings all the time, and nobody else, for any cut."""
    guide = Path(__file__).parents[2] / "docs" / "howto" / "add-a-detector.md"
    (source,) = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    module = types.ModuleType("peerwatch.detect.detectors.many_pings")
    exec(compile(source, str(guide), "exec"), module.__dict__)  # noqa: S102 - our own documentation
    stream = Stream()
    for second in range(60):
        for peer, pings in ((1, second % 60 == 0), (2, 2)):
            for nth in range(pings):
                row = {"peer": peer, "inbound": True, "pong": False, "nonce": 1}
                stream.add(at(second + nth / 4), ping=row)
    expected = feed(module.ManyPings(), [stream.batch()])
    assert {p for each in expected for p in each.finding.peers} == {2}
    assert expected[0].second == START + 5
    assert feed(module.ManyPings(), list(cut(stream.batch(), 7))) == expected
