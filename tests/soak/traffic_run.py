"""Dissects made traffic and checks every message: the changed ones against the plain decoder, the others against the pool."""

from __future__ import annotations

import resource
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from bench.traffic import Batch, Traffic
from peerwatch.schema.batch import Array
from peerwatch.wire.dissect import Dissection, dissect
from peerwatch.wire.raw import RawMessages
from tests.reference.decode import CALLERS, IDENTITY, KEY, LONGEST, Result, decode, layouts


@dataclass
class Outcome:
    """What came of it. `wrong` has the first messages that are not as they must be."""

    messages: int = 0
    rows: int = 0
    """Rows of table `message`."""
    changed: int = 0
    tables: Counter[str] = field(default_factory=Counter)
    """Rows of the other tables."""
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    peak_mb: float = 0
    """The most memory that the process ever had."""
    growth_mb: float = 0
    """How much of it came after the first batches."""


def expected(kind: str, kept: bytes, size: int) -> Result:
    """What the plain decoder makes of a message, and of a type that it does not know."""
    return decode(kind, kept, size) if kind in layouts() else ([], "oversized" if size > LONGEST else None)


def results(dissection: Dissection, which: Array) -> list[Result]:
    """Rows and errors of some messages of a batch."""
    message = dissection.tables["message"]
    found: dict[int, Result] = {i: ([], e) for i, e in zip(which.tolist(), message["error"].take(which).to_pylist(), strict=True)}
    wanted = np.zeros(message.num_rows, bool)
    wanted[which] = True
    for name, rows in dissection.tables.items():
        if name == "message":
            continue
        of = dissection.message_of[name]
        at = np.flatnonzero(wanted[of])
        columns = [column for column in rows.schema.names if column not in CALLERS]
        for i, row in zip(of[at].tolist(), rows.select(columns).take(at).to_pylist(), strict=True):
            found[i][0].append(row)
    return list(found.values())


def pool_rows(traffic: Traffic) -> tuple[dict[str, Array], list[str]]:
    """How many rows of each table each payload of the pool gives, and which are not as the plain decoder has them."""
    n = len(traffic.pool)
    zeros = np.zeros(n, np.int64)
    pool = traffic.pool
    messages = RawMessages(
        np.concatenate([pool.buf, np.zeros(64, np.uint8)]), zeros, np.arange(n), zeros, zeros == 0, traffic.kind, pool.size,
        pool.size, pool.start, zeros != 0, traffic.names,
    )  # fmt: skip
    dissection = dissect(IDENTITY, messages, KEY)
    everything = np.arange(n)
    wrong = differences(messages, everything, results(dissection, everything))
    wrong += [f"{messages.names[messages.type[i]]}: {r[1]}" for i, r in enumerate(results(dissection, everything)) if r[1]]
    counts = {name: np.bincount(of, minlength=n) for name, of in dissection.message_of.items() if name != "message"}
    return counts, wrong


def differences(messages: RawMessages, which: Array, ours: list[Result]) -> list[str]:
    """Messages (of indices `which`) that are not as the plain decoder has them."""
    wrong = []
    for i, result in zip(which.tolist(), ours, strict=True):
        kept = messages.buf[messages.start[i] : messages.start[i] + messages.kept[i]].tobytes()
        kind, size = messages.names[messages.type[i]], int(messages.size[i])
        if result != (plain := expected(kind, kept, size)):
            wrong.append(f"{kind}, {size} bytes sent, kept {kept.hex()}: dissected {result}, plainly {plain}")
    return wrong


def check(outcome: Outcome, batch: Batch, dissection: Dissection, rows_of: dict[str, Array]) -> None:
    """Hold one batch against what it must be."""
    n, changed = len(batch.messages), batch.changed
    same = np.ones(n, bool)
    same[changed] = False
    message = dissection.tables["message"]
    outcome.messages += n
    outcome.rows += message.num_rows
    outcome.changed += len(changed)
    flagged = np.flatnonzero(np.asarray(message["error"].is_valid()))
    outcome.wrong += [
        f"{batch.messages.names[batch.messages.type[i]]} has an error, and was not changed" for i in flagged if same[i]
    ]
    outcome.wrong += differences(batch.messages, changed, results(dissection, changed))
    outcome.errors.update(message["error"].take(flagged).to_pylist())
    for name, counts in rows_of.items():
        of = dissection.message_of.get(name, np.zeros(0, np.int64))
        outcome.tables[name] += len(of)
        if int(same[of].sum()) != int(counts[batch.drawn[same]].sum()):
            outcome.wrong.append(f"{name} has not as many rows as the messages that were not changed give")


def run(count: int, seed: int = 1) -> Outcome:
    """So many messages, one in a hundred of them changed; ends early once a few are wrong."""
    outcome, traffic = Outcome(), Traffic(seed)
    rows_of, outcome.wrong = pool_rows(traffic)
    settled = 0.0
    for number, batch in enumerate(traffic.batches(count)):
        check(outcome, batch, dissect(IDENTITY, batch.messages, KEY), rows_of)
        if len(outcome.wrong) > 5:
            break
        if number == 2:
            settled = _peak()
    outcome.peak_mb = _peak()
    outcome.growth_mb = outcome.peak_mb - (settled or outcome.peak_mb)
    return outcome


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
