"""The binary has the probes of Bitcoin Core, with their operands in all the places where a compiler puts them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from peerwatch.sources.usdt.probes import PROBES, Kind, Probe

OPERAND = re.compile(r"(-?\d)@(\S+)")
REGISTER = re.compile(r"%\w+$")
ON_STACK = re.compile(r"-?\d*\(%r[sb]p\)$")
BEHIND_POINTER = re.compile(r"-?\d*\(%r(?![sb]p)\w+\)$")
CONSTANT = re.compile(r"\$-?\d+$")


@dataclass(frozen=True)
class Site:
    """A probe's note: its semaphore's address, and each operand's size (negative: signed) and place."""

    probe: str
    semaphore: int
    operands: tuple[tuple[int, str], ...]


def sites(binary: Path) -> list[Site]:
    notes = subprocess.run(["readelf", "-nW", binary], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"Provider: (\S+)\s+Name: (\S+)\s+Location: .*Semaphore: (\S+)\s+Arguments: (.*)", notes)
    return [
        Site(f"{provider}:{name}", int(semaphore, 16), tuple((int(size), place) for size, place in OPERAND.findall(operands)))
        for provider, name, semaphore, operands in found
    ]


def documented(probe: Probe) -> list[int]:
    return [-a.width if a.kind is Kind.INT and a.signed else a.width if a.kind is Kind.INT else 8 for a in probe.args]


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.full_name)
def test_a_probe_has_its_documented_arguments_at_every_site(binaries: Path, probe: Probe) -> None:
    """Number, size and signedness of the arguments are those that Core documents, and there is a semaphore."""
    here = [s for s in sites(binaries / "peerwatch-player") if s.probe == probe.full_name]
    assert len(here) >= 4
    for site in here:
        assert [size for size, _ in site.operands] == documented(probe)
        assert site.semaphore != 0
    assert len({s.semaphore for s in here}) == 1


def test_a_probe_is_not_in_the_binary_without_being_documented(binaries: Path) -> None:
    """The probes of the binary are those of the table."""
    assert {s.probe for s in sites(binaries / "peerwatch-player")} == {p.full_name for p in PROBES}


def test_semaphores_lie_in_the_section_where_tracers_look(binaries: Path) -> None:
    """Every probe's semaphore is another two bytes of `.probes`."""
    headers = subprocess.run(["readelf", "-SW", binaries / "peerwatch-player"], capture_output=True, text=True, check=True).stdout
    section = re.search(r"\.probes\s+PROGBITS\s+(\w+)\s+\w+\s+(\w+)", headers)
    assert section is not None
    begin, size = int(section[1], 16), int(section[2], 16)
    addresses = {s.semaphore for s in sites(binaries / "peerwatch-player")}
    assert len(addresses) == len(PROBES)
    assert all(begin <= a and a + 2 <= begin + size for a in addresses)


@pytest.mark.parametrize("probe", [p.full_name for p in PROBES])
@pytest.mark.parametrize("place", [REGISTER, ON_STACK, BEHIND_POINTER], ids=["register", "stack", "pointer"])
def test_operands_of_each_size_lie_in_registers_on_the_stack_and_behind_pointers(
    binaries: Path, probe: str, place: re.Pattern[str]
) -> None:
    """Every argument of a probe is found in each kind of place, at one site or another."""
    here = [s.operands for s in sites(binaries / "peerwatch-player") if s.probe == probe]
    for argument in zip(*here, strict=True):
        assert any(place.match(where) for _, where in argument)


def test_operands_have_no_other_form(binaries: Path) -> None:
    """Neither index registers nor addresses relative to the instruction: Core's release binaries have none."""
    forms = (REGISTER, ON_STACK, BEHIND_POINTER, CONSTANT)
    places = [where for s in sites(binaries / "peerwatch-player") for _, where in s.operands]
    assert [p for p in places if not any(form.match(p) for form in forms)] == []
    assert any(CONSTANT.match(p) for p in places)


def test_one_site_has_operands_in_places_of_all_kinds(binaries: Path) -> None:
    """At least one site of net:inbound_message mixes register, stack and pointer."""
    here = [s.operands for s in sites(binaries / "peerwatch-player") if s.probe == "net:inbound_message"]
    kinds = [{form for form in (REGISTER, ON_STACK, BEHIND_POINTER) for _, where in o if form.match(where)} for o in here]
    assert max(map(len, kinds)) == 3


def test_the_older_binary_lacks_what_older_releases_lack(binaries: Path) -> None:
    """`player-older` has neither mempool probes nor those for evicted and misbehaving peers; the rest is unchanged."""
    missing = {p.full_name for p in PROBES if p.provider == "mempool"}
    missing |= {"net:evicted_inbound_connection", "net:misbehaving_connection"}
    older = sites(binaries / "player-older")
    assert {s.probe for s in older} == {p.full_name for p in PROBES} - missing
    assert all([size for size, _ in s.operands] == documented(p) for s in older for p in PROBES if p.full_name == s.probe)


def test_the_changed_binary_differs_in_two_probes(binaries: Path) -> None:
    """`player-changed` passes a 4-byte size with net:inbound_message, and one argument fewer with net:closed_connection."""
    differing = {
        s.probe: [size for size, _ in s.operands]
        for s in sites(binaries / "player-changed")
        for p in PROBES
        if p.full_name == s.probe and [size for size, _ in s.operands] != documented(p)
    }
    assert differing == {"net:inbound_message": [-8, 8, 8, 8, 4, 8], "net:closed_connection": [-8, 8, 8, 4]}


def test_the_binary_without_probes_has_none(binaries: Path) -> None:
    """`player-noprobes` has no note and no semaphore."""
    assert sites(binaries / "player-noprobes") == []
    headers = subprocess.run(["readelf", "-SW", binaries / "player-noprobes"], capture_output=True, text=True, check=True).stdout
    assert ".probes" not in headers
    assert "stapsdt" not in headers
