"""btclib and the dissectors say the same of every message: well formed or not, and if it is, every column."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from btclib.exceptions import BTClibTypeError, BTClibValueError

from peerwatch.wire.raw import KNOWN_TYPES
from tests.reference.decode import Result, dissected, layouts, raw
from tests.wireproof.btclib_rows import ACCEPTANCES, KNOWN, REFUSALS, UNKNOWN, Acceptance, Refusal
from tests.wireproof.examples import SPECIAL, captured, made

TYPES = sorted(KNOWN.keys() & layouts().keys())
DAMAGED = 12
"""Bits flipped in each valid payload, each in a copy of its own."""


def read(kind: str, payload: bytes) -> Any:
    """What btclib makes of a payload; a text when it refuses."""
    try:
        return KNOWN[kind].payload.parse(payload, check_validity=kind == "addrv2")
    except (BTClibValueError, BTClibTypeError) as error:
        return str(error)


def variants(payload: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """A payload as it is, cut, followed by more, and with bits flipped."""
    yield payload
    yield payload + b"\0"
    if payload:
        yield payload[:-1]
        yield payload[: rng.integers(len(payload))]
        for at in rng.integers(0, len(payload), DAMAGED):
            yield payload[:at] + bytes([payload[at] ^ 1 << int(rng.integers(8))]) + payload[at + 1 :]


@cache
def compared(kind: str) -> list[tuple[bytes, Result, Any]]:
    """All payloads of one type, with what we and btclib make of them."""
    rng = np.random.default_rng(1)
    payloads = list(dict.fromkeys(p for k, p in captured() if k == kind))
    payloads += [v for p in (*payloads[:20], *made(kind, 40), *SPECIAL.get(kind, ())) for v in variants(p, rng)]
    ours = dissected(raw([(kind, p, len(p)) for p in payloads]))
    return [(p, result, read(kind, p)) for p, result in zip(payloads, ours, strict=True)]


def excuses(kind: str, ours: Result, theirs: Any) -> list[Refusal | Acceptance]:
    """What explains that one of the two takes a message for well formed and the other does not."""
    if isinstance(theirs, str):
        return [r for r in REFUSALS if kind in r.types and theirs.startswith(r.says)]
    return [a for a in ACCEPTANCES if kind in a.types and ours[1] == a.error and a.when(theirs)]


def test_every_type_is_compared_or_excused() -> None:
    """A type that is known to us is known to btclib, or it is said why not."""
    assert sorted([*KNOWN, *UNKNOWN]) == sorted(KNOWN_TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_btclib_agrees(kind: str) -> None:
    """On the captures, and on valid payloads whole, cut, with bytes behind their end and with bits flipped."""
    for payload, ours, theirs in compared(kind):
        rows, error = ours
        if (error is None) == isinstance(theirs, str):
            assert excuses(kind, ours, theirs), (payload.hex(), ours, theirs)
        elif error is None:
            assert rows == list(KNOWN[kind].rows(theirs, kind)), payload.hex()


@pytest.mark.parametrize("excuse", [*REFUSALS, *ACCEPTANCES], ids=lambda e: f"{e.types[0]}-{e.reason[:20]}")
def test_excuses_are_needed(excuse: Refusal | Acceptance) -> None:
    """Each was really seen."""
    seen = [
        excuses(kind, ours, theirs)
        for kind in excuse.types
        for _, ours, theirs in compared(kind)
        if (ours[1] is None) == isinstance(theirs, str)
    ]
    assert any(excuse in each for each in seen)
