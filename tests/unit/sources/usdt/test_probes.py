"""The probe table against what Core documents, and the layouts that derive from it."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.sources.usdt.probes import DESCRIBED, DESCRIBED_BODY, HEADER, PROBES, Arg, Kind, Probe

each = pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.full_name)

DOCUMENTED = {
    "net:inbound_message": 6, "net:outbound_message": 6, "net:inbound_connection": 5, "net:outbound_connection": 5,
    "net:closed_connection": 5, "net:evicted_inbound_connection": 5, "net:misbehaving_connection": 2,
    "mempool:added": 3, "mempool:removed": 5, "mempool:replaced": 8, "mempool:rejected": 2,
    "validation:block_connected": 6,
    "utxocache:add": 5, "utxocache:spent": 5, "utxocache:uncache": 5, "utxocache:flush": 5,
}  # fmt: skip
"""Arguments of each tracepoint: Bitcoin Core, doc/tracing.md (v30)."""


def test_all_documented_probes_are_there() -> None:
    """Each with as many arguments as Core passes, once, and none that Core does not have."""
    assert {p.full_name: len(p.args) for p in PROBES} == DOCUMENTED
    assert len(PROBES) == len(DOCUMENTED)


def test_numbers_are_stable() -> None:
    """Play files and records carry a probe's position, so it must never change: these have been used."""
    assert [p.full_name for p in PROBES] == list(DOCUMENTED)
    assert DESCRIBED == 16


@each
def test_arguments_are_well_formed(probe: Probe) -> None:
    """Names are unique; integers are 1, 4 or 8 bytes, hashes 32; a payload comes last and right behind its size."""
    assert len({a.name for a in probe.args}) == len(probe.args)
    for nth, arg in enumerate(probe.args):
        if arg.kind is Kind.INT:
            assert arg.width in (1, 4, 8)
        if arg.kind is Kind.HASH:
            assert arg.width == 32
        if arg.kind is Kind.PAYLOAD:
            assert (nth, probe.args[nth - 1].name) == (len(probe.args) - 1, "size")


@each
def test_bodies_hold_the_arguments_in_order(probe: Probe) -> None:
    """A record's body has every argument where BPF puts it: integers widened to 8 bytes, texts and hashes at their width."""
    if probe.args[-1].kind is Kind.PAYLOAD:
        return
    assert probe.body.names == tuple(a.name for a in probe.args)
    at = 0
    for arg in probe.args:
        kind, offset = probe.body.fields[arg.name][:2]  # type: ignore[index]
        assert (offset, kind.itemsize) == (at, 8 if arg.kind is Kind.INT else arg.width)
        assert arg.kind is not Kind.INT or (kind.kind == "i") == arg.signed
        at += kind.itemsize
    assert probe.body.itemsize == at


def test_only_utxo_cache_entries_are_counted() -> None:
    """They fire thousands of times a block."""
    assert [p.full_name for p in PROBES if p.counted] == ["utxocache:add", "utxocache:spent", "utxocache:uncache"]


def test_the_header_is_packed_and_aligned() -> None:
    """56 bytes without holes, each field at a multiple of its own size, as a C struct of the kernel lays them out."""
    assert HEADER.itemsize == 56
    at = 0
    for name in HEADER.names or ():
        kind, offset = HEADER.fields[name][:2]  # type: ignore[index]
        assert offset == at
        assert offset % min(kind.itemsize, 8) == 0
        at += kind.itemsize
    assert at == HEADER.itemsize


def test_descriptions_hold_what_messages_carry() -> None:
    """The record that describes a peer has the address and connection type of the message probes, at their widths."""
    widths = {a.name: a.width for a in PROBES[0].args}
    assert np.dtype([(n, f"S{widths[n]}") for n in ("address", "conn_type")]) == DESCRIBED_BODY


def test_an_argument_is_a_value() -> None:
    """Declarations can be compared and hashed, and cannot be changed."""
    assert Arg("peer", Kind.INT, 8, signed=True) == PROBES[0].args[0]
    assert len({*PROBES, *PROBES}) == len(PROBES)
    with pytest.raises(AttributeError):
        PROBES[0].name = "other"  # type: ignore[misc]
