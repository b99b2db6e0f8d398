"""From argument strings to what BPF reads, and what is refused."""

from __future__ import annotations

import pytest

from peerwatch.sources.usdt.arguments import (
    DESCRIBES_PEER,
    FORGETS_PEER,
    HAS_PEER,
    IN_MEMORY,
    IN_REGISTER,
    MAX_ARGS,
    MAX_TEXT,
    REGISTERS,
    ZERO,
    NotUnderstoodError,
    spec_of,
)
from peerwatch.sources.usdt.probes import PROBES, Arg, Kind, Probe
from peerwatch.sources.usdt.slots import ADDED, SPENT, UNCACHED

NUMBERS = {probe.full_name: number for number, probe in enumerate(PROBES)}
MESSAGE = PROBES[NUMBERS["net:inbound_message"]]
FLUSH = PROBES[NUMBERS["utxocache:flush"]]


def one(operand: str, width: int = 8, *, signed: bool = False) -> tuple[int, int, int, int, bool]:
    """Value, operand kind, register, size and sign of a probe's only argument."""
    probe = Probe("p", "n", (Arg("a", Kind.INT, width, signed),))
    argument = spec_of(probe, 0, operand)["args"][0]
    return tuple(argument[["value", "operand", "reg", "size", "is_signed"]].tolist())


@pytest.mark.parametrize(
    ("operand", "width", "signed", "wanted"),
    [
        ("8@%rax", 8, False, (0, IN_REGISTER, 0, 8, False)),
        ("-8@%r15", 8, True, (0, IN_REGISTER, 15, 8, True)),
        ("4@%ecx", 4, False, (0, IN_REGISTER, 2, 4, False)),
        ("-4@%r8d", 4, True, (0, IN_REGISTER, 8, 4, True)),
        ("2@%r9w", 2, False, (0, IN_REGISTER, 9, 2, False)),
        ("1@%r10b", 1, False, (0, IN_REGISTER, 10, 1, False)),
        ("1@%al", 1, False, (0, IN_REGISTER, 0, 1, False)),
        ("1@%sil", 1, False, (0, IN_REGISTER, 4, 1, False)),
        ("1@%bpl", 1, False, (0, IN_REGISTER, 6, 1, False)),
        ("2@%di", 2, False, (0, IN_REGISTER, 5, 2, False)),
        ("4@%rdx", 4, False, (0, IN_REGISTER, 3, 4, False)),
        ("8@(%rsp)", 8, False, (0, IN_MEMORY, 7, 8, False)),
        ("-4@-72(%rbp)", 4, True, (-72, IN_MEMORY, 6, 4, True)),
        ("1@2147483647(%r13)", 1, False, (2147483647, IN_MEMORY, 13, 1, False)),
        ("1@$1", 1, False, (1, IN_REGISTER, ZERO, 1, False)),
        ("-4@$-1", 4, True, (-1, IN_REGISTER, ZERO, 4, True)),
        ("8@$18446744073709551615", 8, False, (-1, IN_REGISTER, ZERO, 8, False)),
        ("-8@$-9223372036854775808", 8, True, (-(1 << 63), IN_REGISTER, ZERO, 8, True)),
    ],
)
def test_operands_that_are_understood(operand: str, width: int, signed: bool, wanted: tuple[int, ...]) -> None:  # noqa: FBT001 - a table
    """Registers of all widths, registers with a displacement, and constants."""
    assert one(operand, width, signed=signed) == wanted


@pytest.mark.parametrize(
    ("operand", "width"),
    [
        ("8@%eax", 8), ("4@%ax", 4), ("1@%ah", 1), ("8@%xmm0", 8), ("8@%rip", 8), ("8@%r16", 8), ("8@%", 8), ("8@rax", 8),
        ("8@-8(%ebp)", 8), ("8@(%r8d)", 8), ("8@-8(%rbp,%rax,8)", 8), ("8@(,%rax,8)", 8), ("8@8(%rip)", 8), ("8@-(%rax)", 8),
        ("8@symbol(%rip)", 8), ("8@symbol", 8), ("8@+8(%rax)", 8), ("8@0x8(%rax)", 8), ("8@%fs:8(%rax)", 8), ("8@*(%rax)", 8),
        ("8@$", 8), ("8@$symbol", 8), ("8@$18446744073709551616", 8), ("8@$-9223372036854775809", 8), ("8@$1.5", 8),
        ("8@99999999999(%rax)", 8), ("8@\u0661(%rax)", 8), ("8@$\u0661", 8),
        ("8f@%rax", 8), ("@%rax", 8), ("%rax", 8), ("3@%rax", 3), ("16@%rax", 16), ("8@", 8), ("+8@%rax", 8), ("--8@%rax", 8),
    ],
)  # fmt: skip
def test_operands_that_are_not_understood(operand: str, width: int) -> None:
    """Anything else is refused, and the reason names argument and text."""
    with pytest.raises(NotUnderstoodError, match="argument a "):
        one(operand, width)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("-8@%rax 8@%rdx 8@%rcx 8@%rsi 8@%r8", "5 arguments instead of 6"),
        ("", "0 arguments instead of 6"),
        ("-8@%rax 8@%rdx 8@%rcx 8@%rsi 4@%r8d 8@%rdi", "argument size has 4 bytes instead of 8"),
        ("-8@%rax 4@%edx 8@%rcx 8@%rsi 8@%r8 8@%rdi", "argument address has 4 bytes instead of 8"),
        ("-8@%rax 8@%rdx 8@%rcx 8@%rsi 8@%r8 8@8(%rdi,%rax,1)", r"argument payload lies in '8\(%rdi,%rax,1\)'"),
    ],
)
def test_lists_that_differ_from_the_declaration(arguments: str, reason: str) -> None:
    """Count and sizes must be the declared ones."""
    with pytest.raises(NotUnderstoodError, match=reason):
        spec_of(MESSAGE, 0, arguments)


@pytest.mark.parametrize(("operand", "signed", "reason"), [("-4@%eax", False, "is signed"), ("4@%eax", True, "is not signed")])
def test_signs_of_small_integers_must_agree(operand: str, signed: bool, reason: str) -> None:  # noqa: FBT001 - a table
    """Below 8 bytes the sign decides the value."""
    with pytest.raises(NotUnderstoodError, match=reason):
        one(operand, 4, signed=signed)


def test_the_sign_of_8_bytes_does_not_matter() -> None:
    """Core passes a closed connection's time signed and documents it unsigned; pointers come either way."""
    closed = PROBES[NUMBERS["net:closed_connection"]]
    for text in ("-8@%rax 8@%rbx 8@%rcx 4@%edx -8@%rsi", "8@%rax -8@%rbx -8@%rcx 4@%edx 8@%rsi"):
        assert spec_of(closed, 4, text)["nargs"] == 5


def test_a_message() -> None:
    """The peer is known, and its number is the probe's."""
    spec = spec_of(MESSAGE, 0, "-8@%rax 8@%rdx 8@%rcx 8@%rsi 8@%r8 8@%rdi")
    assert (spec["probe"], spec["nargs"], spec["flags"]) == (0, 6, HAS_PEER)
    assert spec["args"]["reg"].tolist() == [0, 3, 2, 4, 8, 5, 0, 0]


def operands(probe: Probe) -> str:
    """Some valid argument string."""
    return " ".join(f"{'-' if a.signed else ''}{a.width if a.kind is Kind.INT else 8}@(%rdi)" for a in probe.args)


@pytest.mark.parametrize("number", range(len(PROBES)), ids=[probe.full_name for probe in PROBES])
def test_bodies_lie_as_records_are_read(number: int) -> None:
    """Offsets and widths in BPF's record are those of the dtype that reads it, and fit what BPF has room for."""
    probe = PROBES[number]
    spec = spec_of(probe, number, operands(probe))
    if probe.counted:
        assert spec["nargs"] == 0
        return
    args = spec["args"][: spec["nargs"]]
    assert len(probe.args) <= MAX_ARGS
    assert bool(spec["flags"] & HAS_PEER) is (probe.args[0].name == "peer")
    if probe.args[-1].kind is not Kind.PAYLOAD:
        fields = [probe.body.fields[arg.name] for arg in probe.args]
        assert args["offset"].tolist() == [field[1] for field in fields]
        assert args["width"].tolist() == [field[0].itemsize for field in fields]
        assert args["width"].max() <= MAX_TEXT
        assert spec["body"] == probe.body.itemsize


def test_connections_keep_the_list_of_described_peers() -> None:
    """Opened connections describe their peer, closed ones forget it, and no other probe does either."""
    changes = DESCRIBES_PEER | FORGETS_PEER
    found = {p.full_name: int(spec_of(p, n, operands(p))["flags"]) & changes for n, p in enumerate(PROBES)}
    assert {name: flag for name, flag in found.items() if flag} == {
        "net:inbound_connection": DESCRIBES_PEER,
        "net:outbound_connection": DESCRIBES_PEER,
        "net:closed_connection": FORGETS_PEER,
    }


def test_counted_probes_may_lie_anywhere() -> None:
    """Their arguments are not read, so only the declaration is compared; each has a counter of its own."""
    counted = {p.full_name: p for p in PROBES if p.counted}
    odd = "8@%xmm0 4@x(%rip) 4@(%rax,%rbx,2) -8@%fs:0 1@%ah"
    found = [int(spec_of(counted[f"utxocache:{name}"], 0, odd)["counter"]) for name in ("add", "spent", "uncache")]
    assert found == [ADDED, SPENT, UNCACHED]
    with pytest.raises(NotUnderstoodError):
        spec_of(counted["utxocache:add"], 0, "8@%rax 8@%rbx 4@%ecx -8@%rdx 1@%al")


def test_every_register_has_its_parts() -> None:
    """16 registers with four names each; the high bytes are not among them."""
    assert len(REGISTERS) == 64
    assert sorted(REGISTERS.values()) == sorted((number, width) for number in range(16) for width in (8, 4, 2, 1))
    assert not {"ah", "bh", "ch", "dh"} & REGISTERS.keys()
