"""`headers`."""

from __future__ import annotations

from itertools import pairwise

import pytest
from btclib.block.block_header import BlockHeader

from peerwatch.wire.messages.headers import MAX_HEADERS_RESULTS
from tests.reference.decode import Result, decode, dissected, raw
from tests.reference.known import GENESIS, GENESIS_HASH, shown
from tests.reference.reader import compact_size
from tests.reference.transactions import sha256d
from tests.wireproof.examples import captured

HEAD = GENESIS[:80]


def one(kept: bytes, size: int | None = None) -> Result:
    return dissected(raw([("headers", kept, len(kept) if size is None else size)]))[0]


def chain(count: int, breaks: tuple[int, ...] = ()) -> list[bytes]:
    """Headers that follow on one another, but those at `breaks`."""
    found = [HEAD]
    for n in range(1, count):
        previous = bytes(32) if n in breaks else sha256d(found[-1])
        found.append(HEAD[:4] + previous + HEAD[36:68] + n.to_bytes(4, "little") + HEAD[72:])
    return found


def message(headers: list[bytes], transactions: bytes = b"\0") -> bytes:
    return compact_size(len(headers)) + b"".join(header + transactions for header in headers)


def test_a_chain() -> None:
    """Its ends are kept, and that nothing breaks it."""
    headers = chain(5)
    (row,), error = one(message(headers))
    assert error is None
    assert (row["headers"], row["breaks"], row["previous"]) == (5, 0, bytes(32))
    assert (shown(row["first"]), row["last"]) == (GENESIS_HASH, sha256d(headers[-1]))
    assert (row["first_time"], row["last_time"], row["last_bits"]) == (1_231_006_505, 4, 0x1D00FFFF)


def test_breaks() -> None:
    """Each header that does not follow on the one before is counted, in each message by itself."""
    sent = [message(chain(9, breaks)) for breaks in [(), (1,), (3, 4, 8), (8,)]]
    assert [rows[0]["breaks"] for rows, _ in dissected(raw([("headers", m, len(m)) for m in sent]))] == [0, 1, 3, 1]


def test_no_headers() -> None:
    """A row that says so: it ends a download."""
    (row,), error = one(b"\0")
    assert (row.pop("headers"), row.pop("breaks"), error) == (0, 0, None)
    assert set(row.values()) == {None}
    assert one(b"") == ([], "truncated")


def test_captured() -> None:
    """What btclib says of every header that a node sent and was sent."""
    payloads = [p for kind, p in captured() if kind == "headers"]
    assert len(payloads) > 1000
    for payload, ((row,), error) in zip(payloads, dissected(raw([("headers", p, len(p)) for p in payloads])), strict=True):
        found = [
            BlockHeader.parse(payload[at : at + 80], check_validity=False) for at in range(len(payload) % 81, len(payload), 81)
        ]
        assert error is None
        assert row["headers"] == len(found)
        assert row["breaks"] == sum(b.previous_block_hash != a.hash for a, b in pairwise(found))
        if found:
            assert (shown(row["first"]), shown(row["last"])) == (found[0].hash.hex(), found[-1].hash.hex())


@pytest.mark.parametrize(("count", "kept", "error"), [(2000, 2000, None), (2001, 2000, "over_limit")])
def test_the_limit(count: int, kept: int, error: str | None) -> None:
    """A message may hold 2000 headers; of one that holds more, the first 2000 are told of."""
    headers = chain(count)
    (row,), found = one(message(headers))
    assert (row["headers"], row["breaks"], found) == (kept, 0, error)
    assert row["last"] == sha256d(headers[MAX_HEADERS_RESULTS - 1])


@pytest.mark.parametrize("transactions", [1, 252, 253, 0xFFFF, 0x10000, 0x02000000])
def test_counts_of_transactions_mean_nothing(transactions: int) -> None:
    """As in Core, whatever they say; those of several bytes are passed over, also among others."""
    headers = chain(4)
    plain = one(message(headers))
    assert one(message(headers, compact_size(transactions))) == plain
    mixed = b"\4" + b"".join(h + compact_size(n) for h, n in zip(headers, [0, transactions, 0, transactions], strict=True))
    assert one(mixed) == plain


@pytest.mark.parametrize(("count", "error"), [(compact_size(7, 3), "non_canonical"), (compact_size(0x02000001), "over_limit")])
def test_counts_of_transactions_must_be_proper(count: bytes, error: str) -> None:
    """Where one is not, the list ends, before that header."""
    headers = chain(3)
    (row,), found = one(b"\3" + headers[0] + b"\0" + headers[1] + count + headers[2] + b"\0")
    assert (row["headers"], row["last"], found) == (1, sha256d(HEAD), error)


@pytest.mark.parametrize("wide", [False, True])
def test_cut_anywhere(wide: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Headers that are wholly there with their counts stay, next to messages that are whole."""
    whole = message(chain(3), compact_size(300) if wide else b"\0")
    sent = [("headers", whole[:n], size) for n in range(len(whole) + 1) for size in (n, len(whole))]
    assert dissected(raw(sent)) == [decode(*s) for s in sent]
