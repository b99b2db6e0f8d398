"""What reads the answers of a node.

A *reader* says which calls it wants and how often, and makes rows of the answers. Calls that several readers want are made once,
as often as the one that wants it most. Readers of one node are made anew when the node was restarted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from peerwatch.peers.origins import Origins
from peerwatch.schema.table import Table
from peerwatch.sources.gathered import Rows


@dataclass(frozen=True, slots=True)
class Request:
    """A call that a reader wants."""

    method: str
    every_s: float
    """Seconds from one answer to the next request, at least; the configuration can make it longer or shorter."""
    params: tuple[Any, ...] = ()
    since: int = 0
    """First version of Bitcoin Core that has it, such as 260000; an older node is not asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave."""

    method: str
    result: bytes
    """The JSON of `result`."""
    asked: int
    """ns UTC of the request."""
    answered: int
    """ns UTC of the last byte of the answer; the time of the rows that come of it."""


@dataclass(slots=True)
class Known:
    """What readers of one node may know of it and of how it is configured."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """organization, region, role and variant, as far as they are configured."""
    origins: Origins = field(default_factory=Origins)
    configured_addresses: tuple[tuple[str, int | None], ...] = ()
    """Addresses and ports that the node's configuration has as its own (`externalip`, `bind`)."""
    binds: int | None = None
    """Addresses that the node's configuration binds to; None where it cannot be read."""
    listens: bool | None = None
    version: int = 0
    """Version of the node, by `getnetworkinfo`; 0 before its first answer."""
    started: int | None = None
    """When the node was started, ns UTC, by `uptime`."""


class Reader(Protocol):
    """Makes rows of answers. Constructed with a `Known`."""

    requests: Sequence[Request]
    tables: Sequence[type[Table]]
    """Tables that it can fill."""

    def read(self, answer: Answer) -> Iterable[Rows]:
        """Rows of one answer to one of its requests; columns that the answer lacks are null.

        Raises:
            msgspec.DecodeError, msgspec.ValidationError: the answer is not what such a call gives.
        """

    def lacking(self) -> Sequence[str]:
        """Fields that answers lacked so far although the reader knows of them, as `getpeerinfo.last_inv_sequence`."""
