"""Fields of answers, read one by one, so that one which is missing or of another type costs only itself.

Answers differ over the versions of Bitcoin Core, from 22 to 31 and in patched nodes. A field that is missing is null; that is
remarked if the node's version has it in every such answer. A value of another type is null, too, and always remarked. Texts in an
answer may be from peers: they are bounded and made printable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc._api import Known
from peerwatch.wire.raw import printable

Take = Callable[[Any], Any]
"""Makes a column's value of one that is in an answer, or None where that stands for none; ValueError if it is of another type."""

NEWEST = 1 << 31
LABELS = 64
"""Different values of one label that are taken."""
AGENT_BYTES, WARNINGS_BYTES, TEXT_BYTES = 256, 500, 128
MOST_COIN = 21_000_000
"""No amount is larger (src/consensus/amount.h: MAX_MONEY)."""
_INT64 = 1 << 63
_MOST_SECONDS = _INT64 // SECOND // 2
_LABEL = re.compile(r"[a-z0-9_*-]{1,32}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_HEX = re.compile(r"[0-9a-fA-F]{1,16}")
_ENDPOINT = re.compile(r"(?:\[([0-9A-Za-z:.%_-]{2,64})\]|([0-9A-Za-z._-]{1,64}))(?::([0-9]{1,5}))?")

_T = TypeVar("_T")
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_OBJECTS = msgspec.json.Decoder(list[dict[str, Any]])
_NUMBER = msgspec.json.Decoder(int)


@dataclass(frozen=True, slots=True)
class Field:
    """Where a value stands in an object of an answer (`a.b` for b in a), and what is made of it."""

    name: str
    take: Take
    since: int = 0
    """First version that has it in every such answer."""
    until: int = NEWEST
    """First version that has it no more; 0 for a field that no version has in every answer."""


def optional(name: str, take: Take) -> Field:
    """A field that no version has in every answer."""
    return Field(name, take, until=0)


class Fields:
    """Reads fields of one method's answers."""

    def __init__(self, method: str, known: Known) -> None:
        """Nothing was read yet."""
        self._method = method
        self._known = known
        self._missed: set[str] = set()
        self._met: set[str] = set()
        self._odd: set[str] = set()
        self._labels: dict[str, set[str]] = {}

    def columns(self, objects: Sequence[Mapping[str, Any]], wanted: Mapping[str, Field]) -> dict[str, list[Any]]:
        """Values of all objects by column."""
        return {column: [self.value(each, field) for each in objects] for column, field in wanted.items()}

    def value(self, an_object: Mapping[str, Any], field: Field) -> Any:
        """The value of a field; None where there is none."""
        value: Any = an_object
        for part in field.name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            if field.since <= self._known.version < field.until:
                self._missed.add(field.name)
            return None
        self._met.add(field.name)
        try:
            made = field.take(value)
        except ValueError:
            self.odd(field.name)
            return None
        return made if field.take is not label or self._is_label(field.name, made) else None

    def odd(self, name: str) -> None:
        """A field is of another type than it should be."""
        self._odd.add(name)

    def lacking(self) -> list[str]:
        """Fields that were of another type, or missing in every answer, each with the method."""
        return sorted(f"{self._method}.{name}" for name in self._odd | (self._missed - self._met))

    def _is_label(self, name: str, value: str) -> bool:
        known = self._labels.setdefault(name, set())
        if value not in known and len(known) >= LABELS:
            self.odd(name)
            return False
        known.add(value)
        return True


def read_object(result: bytes) -> dict[str, Any]:
    """An answer that is an object.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: it is none.
    """
    return _read(_OBJECT.decode, result)


def read_objects(result: bytes) -> list[dict[str, Any]]:
    """An answer that is an array of objects; raises as `read_object`."""
    return _read(_OBJECTS.decode, result)


def read_seconds(result: bytes) -> int:
    """An answer that is a number of seconds; raises as `read_object`."""
    seconds = _read(_NUMBER.decode, result)
    if not abs(seconds) < _MOST_SECONDS:
        raise msgspec.ValidationError("out of range")
    return seconds


def _read(decode: Callable[[bytes], _T], result: bytes) -> _T:
    try:
        return decode(result)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(type(error).__name__) from None


def integer(value: Any) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool) or not -_INT64 <= value < _INT64:
        raise ValueError
    return value


def count(value: Any) -> int | None:
    """A whole number, 0 or more; Core writes -1 for none."""
    number = integer(value)
    return number if number >= 0 else None


def size(value: Any) -> int:
    """Bytes of one thing, which is smaller than any message."""
    if not 0 <= integer(value) < 1 << 32:
        raise ValueError
    return int(value)


def sizes(value: Any) -> dict[str, int]:
    """Bytes by name."""
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - one error for all that is not as it should be
    return {name: made for name, octets in value.items() if (made := count(octets)) is not None}


def peers(value: Any) -> set[int]:
    """The node's ids of peers."""
    ids = {integer(each) for each in _array(value)}
    if any(peer < 0 for peer in ids):
        raise ValueError
    return ids


def system(value: Any) -> int | None:
    """Number of an autonomous system; 0 is none."""
    system_number = integer(value)
    if system_number >= 1 << 32:
        raise ValueError
    return system_number if system_number > 0 else None


def number(value: Any) -> float:
    """Any number."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not -_INT64 < value < _INT64:
        raise ValueError
    return float(value)


def per_mille(value: Any) -> float:
    """A share that is written in thousandths."""
    return number(value) / 1000


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - one error for all that is not as it should be
    return value


def time_ns(value: Any) -> int | None:
    """A time in whole seconds, as ns; 0 is never."""
    seconds = integer(value)
    if abs(seconds) >= _MOST_SECONDS:
        raise ValueError
    return seconds * SECOND if seconds > 0 else None


def duration_ns(value: Any) -> int | None:
    """Seconds as ns; less than none is none."""
    seconds = number(value)
    if not abs(seconds) < _MOST_SECONDS:
        raise ValueError
    return round(seconds * SECOND) if seconds >= 0 else None


def satoshi(value: Any) -> int:
    """An amount in bitcoin, in satoshi. Exact: up to all coins there are, the error of a double is less than a third of one."""
    coins = number(value)
    if not 0 <= coins <= MOST_COIN:
        raise ValueError
    return round(coins * 100_000_000)


def hash32(value: Any) -> bytes:
    """A hash, in the order of the wire."""
    if not isinstance(value, str) or not _HEX64.fullmatch(value):
        raise ValueError
    return bytes.fromhex(value)[::-1]


def bits(value: Any) -> int:
    """Service bits in hexadecimal."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError
    return int(value, 16)


def label(value: Any) -> str:
    """A name out of a small set, which is Core's."""
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise ValueError
    return value


def text(value: Any, most: int = TEXT_BYTES) -> str:
    """Any text: so many bytes of it, printable."""
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - as above
    return printable(value[:most].encode(errors="replace")[:most])


def agent(value: Any) -> str:
    """A user agent."""
    return text(value, AGENT_BYTES)


def names(value: Any) -> str:
    """An array of names, comma-separated."""
    return text(",".join(_texts(value)), AGENT_BYTES)


def warnings(value: Any) -> str | None:
    """Warnings: a text up to version 27, an array from 28 on; None for none."""
    return text(value if isinstance(value, str) else "; ".join(_texts(value)), WARNINGS_BYTES) or None


def objects(value: Any) -> list[Mapping[str, Any]]:
    """An array of objects."""
    if not all(isinstance(each, dict) for each in _array(value)):
        raise ValueError
    return list(value)


def length(value: Any) -> int:
    """How many values an array has."""
    return len(_array(value))


def endpoint(value: Any) -> tuple[str, int | None]:
    """Address and port of `address:port` or `[v6]:port`; the port may be left out.

    Raises:
        ValueError: it is none.
    """
    found = _ENDPOINT.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError
    return found[1] or found[2], port(int(found[3])) if found[3] else None


def port(value: Any) -> int:
    """A port."""
    if not 0 <= integer(value) < 1 << 16:
        raise ValueError
    return int(value)


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError  # noqa: TRY004 - as above
    return value


def _texts(value: Any) -> Iterable[str]:
    array = _array(value)
    if not all(isinstance(each, str) for each in array):
        raise ValueError
    return array
