"""Maps of autonomous systems in Bitcoin Core's format, for reading: an encoder, and an interpreter that goes bit by bit.

A tree is the number of a system (0 for none), or a pair of trees: for a next bit of 0, and of 1. See src/util/asmap.cpp.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping

Tree = int | tuple["Tree", "Tree"]
Prefixes = Mapping[str, int]
"""Systems by the bits that addresses begin with; of several the longest counts."""

RETURN, JUMP, MATCH, DEFAULT = "0", "10", "110", "111"
ASN, PATTERN, DISTANCE = (1, range(15, 25)), (2, range(1, 9)), (17, range(5, 31))


def bits_of(network: str) -> str:
    """The bits that the addresses of a network begin with, IPv4 in its mapped form."""
    parsed = ipaddress.ip_network(network)
    bits = f"{int(parsed.network_address):0{parsed.max_prefixlen}b}"[: parsed.prefixlen]
    return "0" * 80 + "1" * 16 + bits if parsed.version == 4 else bits


def tree_of(prefixes: Prefixes) -> Tree:
    """The tree of some prefixes."""
    tree: Tree = 0
    for prefix, asn in sorted(prefixes.items(), key=lambda item: len(item[0])):
        tree = _with(tree, prefix, asn)
    return tree


def _with(tree: Tree, prefix: str, asn: int) -> Tree:
    if not prefix:
        return asn
    sides = list(tree) if isinstance(tree, tuple) else [tree, tree]
    sides[int(prefix[0])] = _with(sides[int(prefix[0])], prefix[1:], asn)
    return sides[0] if sides[0] == sides[1] and isinstance(sides[0], int) else (sides[0], sides[1])


def find(tree: Tree, address: str) -> int:
    """The system of an address (bits) by its tree."""
    for bit in address:
        if isinstance(tree, int):
            break
        tree = tree[int(bit)]
    return tree if isinstance(tree, int) else 0


def encode(tree: Tree) -> bytes:
    """A tree as a map. It has a system at least: there is no map without."""
    return pack(program(tree))


def program(tree: Tree, default: int = 0) -> str:
    """The instructions for a tree, where `default` is in force: as bits."""
    if isinstance(tree, int):
        return RETURN + number(*ASN, tree)
    systems = Counter(_leaves(tree))
    common = systems.most_common(1)[0][0]
    if 0 not in systems and common != default:  # what has no system can only be a default that was never set
        return DEFAULT + number(*ASN, common) + _fork(tree, common)
    return _fork(tree, default)


def _fork(tree: Tree, default: int) -> str:
    """MATCHes for as long as one side is the default, or a JUMP."""
    matched = ""
    while isinstance(tree, tuple) and default in tree:
        matched += str(1 - tree.index(default))
        tree = tree[1 - tree.index(default)]
    if matched:
        parts = [matched[first : first + 8] for first in range(0, len(matched), 8)]
        return "".join(MATCH + number(*PATTERN, int("1" + part, 2)) for part in parts) + program(tree, default)
    assert isinstance(tree, tuple)
    left = program(tree[0], default)
    return JUMP + number(*DISTANCE, len(left)) + left + program(tree[1], default)


def _leaves(tree: Tree) -> Iterator[int]:
    if isinstance(tree, int):
        yield tree
    else:
        yield from _leaves(tree[0])
        yield from _leaves(tree[1])


def number(least: int, sizes: range, value: int) -> str:
    """A number as bits."""
    value -= least
    for passed, size in enumerate(sizes):
        if value < 1 << size:
            return "1" * passed + "0" * (passed < len(sizes) - 1) + f"{value:0{size}b}"
        value -= 1 << size
    raise ValueError(value)


def pack(bits: str) -> bytes:
    """Bits as bytes, the first one the lowest of its byte."""
    padded = bits + "0" * (-len(bits) % 8)
    return bytes(int(padded[first : first + 8][::-1], 2) for first in range(0, len(padded), 8))


class Interpreter:
    """Runs a map for one address after the other."""

    def __init__(self, data: bytes) -> None:
        """Take a map."""
        self.bits = "".join(f"{byte:08b}"[::-1] for byte in data)
        self.at = 0

    def run(self, address: str) -> int:
        """The system of an address (bits).

        Raises:
            IndexError: the map ends before the answer, or reads beyond the address.
        """
        self.at = default = read = 0
        while True:
            if not self._bit():
                return self._number(*ASN)
            if not self._bit():
                distance = self._number(*DISTANCE)
                read += 1
                self.at += distance * int(address[read - 1])
            elif self._bit():
                default = self._number(*ASN)
            else:
                for expected in f"{self._number(*PATTERN):b}"[1:]:
                    read += 1
                    if address[read - 1] != expected:
                        return default

    def _bit(self) -> int:
        self.at += 1
        return int(self.bits[self.at - 1])

    def _number(self, least: int, sizes: range) -> int:
        passed = 0
        while passed < len(sizes) - 1 and self._bit():
            least += 1 << sizes[passed]
            passed += 1
        for place in reversed(range(sizes[passed])):
            least += self._bit() << place
        return least
