"""`ping` and `pong`."""

from __future__ import annotations

from tests.reference.decode import dissected, raw

NONCE = (0x1122334455667788).to_bytes(8, "little")


def test_nonces() -> None:
    """Each message gives its nonce and what it is; an empty `ping` is one from before BIP 31."""
    made = dissected(raw([("ping", NONCE, 8), ("pong", NONCE, 8), ("ping", b"", 0)]))
    assert made == [
        ([{"pong": False, "nonce": 0x1122334455667788}], None),
        ([{"pong": True, "nonce": 0x1122334455667788}], None),
        ([{"pong": False, "nonce": None}], None),
    ]


def test_an_empty_pong_is_truncated() -> None:
    """Only a `ping` may be empty, and no message of 1 to 7 bytes is whole: no row, but an error."""
    assert dissected(raw([("pong", b"", 0)])) == [([], "truncated")]
    assert dissected(raw([("ping", NONCE[:n], n) for n in range(1, 8)])) == [([], "truncated")] * 7


def test_a_ping_that_we_did_not_keep_is_not_an_old_one() -> None:
    """Without its bytes nothing is known of the nonce, so there is no row."""
    assert dissected(raw([("ping", b"", 8), ("ping", NONCE[:7], 8)])) == [([], None), ([], None)]


def test_a_long_ping_keeps_its_nonce() -> None:
    """Bytes behind the nonce are an error and do not hide it."""
    assert dissected(raw([("ping", NONCE + b"\0", 9)])) == [([{"pong": False, "nonce": 0x1122334455667788}], "trailing")]
