"""What our peer says."""

from __future__ import annotations

import pytest
from btclib.p2p import Version
from hypothesis import given
from hypothesis import strategies as st

from peerwatch import __version__
from peerwatch.sources.probe.dialogue import Dialogue, Heard
from peerwatch.wire.raw import KNOWN_TYPES

NODE = Version(version=70016, user_agent=b"/node/").serialize()


def through() -> Dialogue:
    """A dialogue after the handshake."""
    dialogue = Dialogue(relay=False, addresses=False)
    dialogue.hear("version", NODE)
    dialogue.hear("verack", b"")
    assert dialogue.is_open
    return dialogue


@pytest.mark.parametrize("relay", [False, True])
def test_its_version_is_honest(relay) -> None:
    """It offers nothing, is at height 0, names itself, and wants transactions only if it is to; each time with another nonce."""
    dialogue = Dialogue(relay=relay, addresses=False)
    kind, payload = dialogue.opening(1_760_000_000)
    version = Version.parse(payload)
    assert kind == "version"
    assert (version.version, version.services, version.timestamp, version.start_height) == (70016, 0, 1_760_000_000, 0)
    assert version.user_agent == f"/peerwatch-probe:{__version__}/".encode()
    assert version.relay is relay
    assert Version.parse(dialogue.opening(1)[1]).nonce != version.nonce


def test_the_handshake_is_that_of_an_ordinary_peer() -> None:
    """What is negotiated stands between `version` and `verack`, and a `verack` alone is no handshake."""
    dialogue = Dialogue(relay=False, addresses=False)
    assert dialogue.hear("verack", b"") == ([], None)
    assert not dialogue.is_open
    assert dialogue.hear("version", NODE) == ([("wtxidrelay", b""), ("sendaddrv2", b""), ("verack", b"")], None)
    assert dialogue.hear("version", NODE) == ([], None)
    assert dialogue.hear("verack", b"") == ([], Heard.HANDSHAKE)
    assert dialogue.hear("verack", b"") == ([], None)


@pytest.mark.parametrize("payload", [Version(version=70015).serialize(), b"", b"\1\2", b"\xff" * 4])
def test_an_old_node_is_offered_nothing_new(payload: bytes) -> None:
    """Nor one whose version cannot be read."""
    assert Dialogue(relay=False, addresses=False).hear("version", payload) == ([("verack", b"")], None)


def test_addresses_are_asked_for_once_and_only_if_wanted() -> None:
    """After the handshake."""
    dialogue = Dialogue(relay=False, addresses=True)
    dialogue.hear("version", NODE)
    assert dialogue.hear("verack", b"") == ([("getaddr", b"")], Heard.HANDSHAKE)
    assert dialogue.hear("verack", b"") == ([], None)


def test_pings_go_both_ways() -> None:
    """Theirs is answered with its nonce, unless it has none; ours is answered by its own nonce alone."""
    dialogue = through()
    assert dialogue.hear("ping", b"12345678") == ([("pong", b"12345678")], None)
    assert dialogue.hear("ping", b"") == ([], None)
    kind, nonce = dialogue.ping()
    assert kind == "ping"
    assert dialogue.is_waiting
    assert dialogue.hear("pong", bytes(8)) == ([], None)
    assert dialogue.hear("pong", nonce) == ([], Heard.PONG)
    assert not dialogue.is_waiting
    assert dialogue.hear("pong", nonce) == ([], None)


@given(st.lists(st.tuples(st.sampled_from([*KNOWN_TYPES, "nonsense"]), st.binary(max_size=40)), max_size=30))
def test_it_never_says_anything_else(messages: list[tuple[str, bytes]]) -> None:
    """Whatever it hears: no announcement, no request, no data, and no more than a handful of bytes for a message."""
    dialogue = Dialogue(relay=True, addresses=True)
    said = [each for message in messages for each in dialogue.hear(*message)[0]]
    assert {kind for kind, _ in said} <= {"wtxidrelay", "sendaddrv2", "verack", "getaddr", "pong"}
    assert all(len(payload) <= 8 for _, payload in said)
    assert [kind for kind, _ in said if kind != "pong"].count("getaddr") <= 1
