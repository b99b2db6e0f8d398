"""Where addresses are from: netgroup, autonomous system, and the lists that they are on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

AsnOf = Callable[[str], int | None]
"""Autonomous system of an address (without port), None where it is not known."""

OnList = Callable[[str], bool]
"""Whether an address (without port) is on a list."""


@dataclass(frozen=True, slots=True)
class NamedList:
    """A list of addresses that an operator gave, such as of exit nodes; `name` has its date, too."""

    name: str
    has: OnList


@dataclass(slots=True)
class Origins:
    """What is known about addresses. Without a map and lists, as by default, that is little.

    Who owns it may change it: what the operator's files say, they say at the moment.
    """

    asn_of: AsnOf = lambda _: None
    asn_map: str | None = None
    """Name and date of the map that `asn_of` reads; None when there is none."""
    lists: Sequence[NamedList] = ()

    def lists_of(self, address: str) -> list[str]:
        """Names of the lists that an address is on."""
        return [each.name for each in self.lists if each.has(address)]
