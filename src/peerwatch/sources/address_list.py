"""A list of addresses as operators keep them: ban lists, exit nodes, ranges of somebody.

Understood are: an address, subnet (CIDR or with a netmask), onion or I2P name a line, with or without a port, where what follows
a blank, comma, `#` or `;` is left out; Tor's list of exit nodes (`ExitAddress 1.2.3.4 …` among other lines); and what Bitcoin
Core writes of its bans (`banlist.json`, or the answer to `listbanned`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from peerwatch.peers.netgroup import I2P, IPV4, IPV6, ONION, Address, packed, parse, split_address
from peerwatch.peers.ranges import Ranges

BITS, BITS_4 = 128, 32
_END = 1 << BITS

_JSON = re.compile(r"\s*(\{|\[\s*[\]{])")
_WORD = re.compile(r"[^\s,#;]+")
_TOR_ADDRESS, _TOR_OTHERS = "ExitAddress", ("ExitNode", "Published", "LastStatus")
"""First words of the lines of Tor's list of exit nodes (TorDNSEL exit list format)."""


class AddressListError(Exception):
    """It is no list of addresses; the message says why."""


class AddressList:
    """A list of addresses, subnets and names."""

    def __init__(self, data: bytes) -> None:
        """Read the content of a file.

        Raises:
            AddressListError: it has entries, but none is an address.
        """
        text = data.decode("utf-8-sig", errors="replace")
        self._names: set[bytes] = set()
        spans: list[tuple[int, int]] = []
        self.entries = self.wrong = self.first_wrong = 0
        """How many entries there are, how many of them are no address, and the line of the first of these (from 1; else 0)."""
        for line, entry in _of_json(text) if _JSON.match(text) else _of_lines(text):
            self.entries += 1
            found = _read(entry)
            if isinstance(found, tuple):
                spans.append(found)
            elif found is not None:
                self._names.add(found)
            else:
                self.wrong += 1
                self.first_wrong = self.first_wrong or line
        if self.entries and self.wrong == self.entries:
            raise AddressListError("it has no address or subnet in it")
        spans.sort()
        self._ranges = Ranges.of_pieces(_pieces(spans))

    def has(self, host: str) -> bool:
        """Whether an address (without port) is on the list, itself or in a subnet."""
        address = parse(host)
        ip = address and packed(address)
        return bool(self._ranges.of(ip)) if ip else address is not None and _name(address) in self._names


def _of_lines(text: str) -> Iterator[tuple[int, str]]:
    """Line and entry of each line that has one."""
    for line, content in enumerate(text.splitlines(), 1):
        words = _WORD.findall(content.partition("#")[0].partition(";")[0])
        if words and words[0] == _TOR_ADDRESS:
            words = words[1:]
        elif words and words[0] in _TOR_OTHERS:
            continue
        if words:
            yield line, words[0]


def _of_json(text: str) -> Iterator[tuple[int, str]]:
    """Position and entry of each ban."""
    try:
        bans = json.loads(text)
        bans = bans["banned_nets"] if isinstance(bans, dict) else bans
        yield from ((nth, str(ban["address"])) for nth, ban in enumerate(bans, 1))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise AddressListError("it looks like JSON, but not like Bitcoin Core's list of bans") from error


def _name(address: Address) -> bytes:
    return f"{address.network}:{address.value:x}".encode()


def _read(entry: str) -> tuple[int, int] | bytes | None:
    """First and last address of what an entry says, or a name; None if it is neither."""
    host, slash, mask = entry.partition("/")
    if not slash:
        host, _ = split_address(host)
    address = parse(host)
    if address is None or (slash and address.network not in (IPV4, IPV6)):
        return None
    if address.network in (ONION, I2P):
        return _name(address)
    ip = packed(address)
    if ip is None:
        return None
    free = _free(mask, BITS_4 if ":" not in host else BITS) if slash else 0
    if free is None or (address.network == IPV4 and free > BITS_4):
        return None
    first = int.from_bytes(ip, "big") >> free << free
    return first, first + (1 << free) - 1


def _free(mask: str, bits: int) -> int | None:
    """How many of so many bits a mask (a number of bits, or a netmask of IPv4) leaves free; None if it is none."""
    if mask.isascii() and mask.isdigit() and len(mask) <= len(str(BITS)):
        return bits - int(mask) if int(mask) <= bits else None
    netmask = parse(mask)
    if netmask is None or netmask.network != IPV4 or bits != BITS_4:
        return None
    rest = netmask.value ^ (1 << BITS_4) - 1
    return rest.bit_length() if rest & (rest + 1) == 0 else None


def _pieces(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """1 where sorted spans, which may overlap, begin, and 0 behind them."""
    behind = 0
    for (first, last), (following, _) in pairwise([*spans, (_END, _END)]):
        yield first, 1
        behind = max(behind, last + 1)
        if behind < following and behind < _END:
            yield behind, 0
