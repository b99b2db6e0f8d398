"""tshark and the dissectors say the same of every message, in every field that tshark knows and gets right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from peerwatch.wire.raw import KNOWN_TYPES
from tests.reference.decode import dissected, layouts, raw
from tests.reference.reader import Row
from tests.wireproof.examples import SPECIAL, Message, captured, made
from tests.wireproof.tshark import TSHARK, Fields, field_names, fields_of
from tests.wireproof.tshark_rows import EXCUSES, KNOWN, UNKNOWN, Excuse

pytestmark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed (tools/setup.sh does that)")

ENVELOPE = {"command", "length", "command_unknown"}
"""Fields that a message of a type without a handler has."""

NOT_COMPARED = {
    "magic": "of the envelope, which no source sees",
    "checksum": "as magic",
    "command_unknown": "a remark, not a field",
    "script_length_invalid": "as command.unknown",
    "services_network": "a bit of services",
    "addr_address": "the bytes of an address and its time, which are compared one by one",
    "string_count": "follows from the text",
    "data_count": "follows from the data",
    "merkleblock_flags_count": "the flags of a partial Merkle tree are not kept",
    "merkleblock_flags_data": "as merkleblock.flags.count",
    "merkleblock_hashes_hash": "hashes of a partial Merkle tree are counted and not kept",
    "tx_in_script_length": "follows from the script, of which the ids are made",
    "tx_out_script_length": "as tx.in.script_length",
    "tx_in_prev_output": "the name of a branch; what is in it is compared",
}  # fmt: skip
"""Fields that nothing is compared with, and why. The name of a whole message or text is no field."""

BRANCHES = {*KNOWN_TYPES, "version_addr_me", "version_addr_you", "version_user_agent", "reject_message", "reject_reason"}
BRANCHES |= {"filterload_filter", "filteradd_data"}


@dataclass
class Comparison:
    """All messages through both, with what differs."""

    asked: set[str] = field(default_factory=set)
    excused: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    differences: list[tuple[Any, ...]] = field(default_factory=list)
    strangers: set[tuple[str, str]] = field(default_factory=set)
    """Fields that tshark gives of types that it has no handler for."""


def messages() -> Iterator[Message]:
    """The captures, and valid payloads of every type that both know, whole and cut in two."""
    yield from captured()
    for kind in sorted(KNOWN.keys() & layouts().keys()):
        for payload in (*made(kind, 40), *SPECIAL.get(kind, ())):
            yield kind, payload
            yield kind, payload[: len(payload) // 2]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Every message compared, in one run of tshark."""
    found, sent = Comparison(), list(messages())
    theirs = fields_of(sent, tmp_path_factory.mktemp("tshark"))
    ours = dissected(raw([(kind, payload, len(payload)) for kind, payload in sent]))
    for (kind, payload), f, (rows, error) in zip(sent, theirs, ours, strict=True):
        assert (f.texts("command"), f.numbers("length")) == ([kind], [len(payload)])
        if kind in UNKNOWN:
            found.strangers |= {(kind, name) for name in f.names - ENVELOPE}
        elif kind in layouts():
            found.counts[kind] = found.counts.get(kind, 0) + 1
            excuses = [e for e in EXCUSES if kind in e.types and e.when(payload, rows, f)]
            compare(found, (kind, payload), f, (rows, error), excuses)
        found.asked |= f.asked
    return found


def compare(found: Comparison, message: Message, f: Fields, ours: tuple[list[Row], str | None], excuses: list[Excuse]) -> None:
    """One message: whether its sender sent too little, and its rows, but for the excused columns.

    tshark has no limits, and has more rows of what is over one. Of what is cut, each side leaves something out: tshark the field
    in which bytes run out, we the columns that speak of all of a message.
    """
    (kind, payload), (rows, error) = message, ours
    cut = error == "truncated"
    expected = list(KNOWN[kind](f, kind))[: len(rows) if error == "over_limit" else None]
    columns = {column for e in excuses for column in e.columns}
    wrong = f.malformed != cut or (len(rows) != len(expected) and not cut)
    for mine, other in zip(rows, expected, strict=False):
        differ = {name for name in {*mine, *other} if mine.get(name) != other.get(name)}
        differ -= {name for name in differ if cut and None in (mine.get(name), other.get(name))}
        found.excused |= {e.name for e in excuses if differ & set(e.columns)}
        if differ - columns:
            found.differences.append((kind, payload.hex(), mine, other))
            return
    if wrong:
        found.excused |= {e.name for e in excuses}
        if not excuses:
            found.differences.append((kind, payload.hex(), error, f.malformed, len(rows), len(expected)))


def test_every_type_is_compared_or_excused() -> None:
    """A type that is known to us is known to tshark, or it is said why not."""
    assert sorted([*KNOWN, *UNKNOWN]) == sorted(KNOWN_TYPES)


def test_tshark_agrees(compared: Comparison) -> None:
    """Every row of every message is what follows from tshark's fields, and what tshark found cut is truncated."""
    assert compared.differences[:3] == []
    assert compared.counts.keys() == KNOWN.keys() & layouts().keys()
    assert sum(compared.counts.values()) > 10_000


def test_excuses_are_needed(compared: Comparison) -> None:
    """Each excuse stands for a difference that was really seen."""
    assert compared.excused == {e.name for e in EXCUSES if layouts().keys() & set(e.types)}


def test_tshark_says_nothing_of_the_types_it_does_not_know(compared: Comparison) -> None:
    """A later version that knows more of them must not go unnoticed."""
    assert compared.strangers == set()


def test_every_field_is_compared_or_excused(compared: Comparison) -> None:
    """Nothing that tshark knows is left out in silence."""
    names = {name.removeprefix("bitcoin.").replace(".", "_").removesuffix("64") for name in field_names()}
    later = {name for name in names if name.split("_")[0] in KNOWN.keys() - layouts().keys()}
    assert names - compared.asked - BRANCHES - later - NOT_COMPARED.keys() == set()
    assert NOT_COMPARED.keys() <= names
    assert not NOT_COMPARED.keys() & compared.asked
