"""Messages without a payload."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from peerwatch.wire.registry import dissector_of_type
from tests.reference.decode import dissected, raw

TYPES = ["verack", "sendaddrv2", "getaddr", "sendheaders", "mempool", "filterclear", "wtxidrelay", "reqsketchext"]


@pytest.mark.parametrize("kind", TYPES)
def test_only_an_empty_payload_is_well_formed(kind: str) -> None:
    """Any byte is one too many, also when we kept none of it; rows there are none."""
    assert dissected(raw([(kind, b"", 0), (kind, b"\0", 1), (kind, b"", 9)])) == [([], None), ([], "trailing"), ([], "trailing")]
    assert dissector_of_type()[kind].table is None


def test_what_btclib_writes() -> None:
    """The messages that an independent implementation knows without a payload are among them."""
    made = [oracle.Verack(), oracle.SendAddrV2(), oracle.GetAddr(), oracle.SendHeaders(), oracle.Mempool(), oracle.WtxidRelay()]
    for message in made:
        assert message.serialize() == b""
        assert message.command in TYPES
