"""Answers of `getpeerinfo`."""

from __future__ import annotations

from typing import Any

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.readers.peers import METHOD, MOST_CLAIMED, TYPES, Peers
from tests.unit.sources.rpc.reading import NOW, answer, read

PEER: dict[str, Any] = {
    "id": 7,
    "addr": "[2001:db8::7]:8333",
    "network": "ipv6",
    "services": "0000000000000c09",
    "relaytxes": True,
    "last_inv_sequence": 12,
    "inv_to_send": 3,
    "lastsend": 1_759_999_990,
    "lastrecv": 1_759_999_991,
    "last_transaction": 0,
    "last_block": 1_759_999_000,
    "bytessent": 5000,
    "bytesrecv": 6000,
    "conntime": 1_759_990_000,
    "timeoffset": -2,
    "pingtime": 0.05,
    "minping": 0.025,
    "version": 70_016,
    "subver": "/Satoshi:30.0.0/",
    "inbound": False,
    "bip152_hb_to": True,
    "bip152_hb_from": False,
    "startingheight": 800_000,
    "presynced_headers": -1,
    "synced_headers": 840_000,
    "synced_blocks": 839_999,
    "inflight": [840_000],
    "addr_relay_enabled": True,
    "addr_processed": 1000,
    "addr_rate_limited": 1,
    "permissions": ["noban", "download"],
    "minfeefilter": 0.00001,
    "bytessent_per_msg": {"ping": 64},
    "bytesrecv_per_msg": {"ping": 96, "*other*": 30},
    "connection_type": "outbound-full-relay",
    "transport_protocol_type": "v2",
    "mapped_as": 64_500,
    "cpu_load": 1.5,
}


def peer(number: int, **values: Any) -> dict[str, Any]:
    """A peer without traffic."""
    return {**PEER, "id": number, "bytessent_per_msg": {}, "bytesrecv_per_msg": {}, **values}


def traffic(rows: dict[str, list[dict[str, Any]]]) -> list[tuple[Any, ...]]:
    """Rows of `peer_traffic`, with seconds since NOW."""
    told = rows.get("peer_traffic", [])
    return [((row["ts"] - NOW) // SECOND, row["peer"], row["inbound"], row["type"], row["bytes"]) for row in told]


def test_the_state_of_a_peer() -> None:
    """In the units of the table; what was never or is not is null."""
    (row,) = read(reader := Peers(Known(version=310_000)), answer(METHOD, [PEER]))["peer_state"]
    assert row == {
        "ts": NOW,
        "peer": 7,
        "address": "[2001:db8::7]:8333",
        "network": "ipv6",
        "inbound": False,
        "conn_type": "outbound-full-relay",
        "transport": "v2",
        "protocol": 70_016,
        "user_agent": "/Satoshi:30.0.0/",
        "services": 0xC09,
        "established": 1_759_990_000 * SECOND,
        "last_send": 1_759_999_990 * SECOND,
        "last_receive": 1_759_999_991 * SECOND,
        "last_transaction": None,
        "last_block": 1_759_999_000 * SECOND,
        "bytes_sent": 5000,
        "bytes_received": 6000,
        "time_offset": -2,
        "ping": 50_000_000,
        "ping_least": 25_000_000,
        "ping_waiting": None,
        "starting_height": 800_000,
        "presynced_headers": None,
        "synced_headers": 840_000,
        "synced_blocks": 839_999,
        "blocks_in_flight": 1,
        "high_bandwidth_to": True,
        "high_bandwidth_from": False,
        "relay_txs": True,
        "addr_relay": True,
        "addr_processed": 1000,
        "addr_rate_limited": 1,
        "permissions": "noban,download",
        "fee_filter": 1000,
        "inv_to_send": 3,
        "last_inv_sequence": 12,
        "cpu_load": 0.0015,
        "mapped_as": 64_500,
    }
    assert reader.lacking() == []


def test_every_answer_has_a_row_for_every_peer() -> None:
    """Whether it changed or not; one without an id is left out, and that is told."""
    reader = Peers(Known())
    rows = read(reader, *(answer(METHOD, [peer(1), peer(2), {"addr": "?"}], at) for at in (0, 10)))["peer_state"]
    assert [(row["peer"], row["ts"] - NOW) for row in rows] == [(1, 0), (2, 0), (1, 10 * SECOND), (2, 10 * SECOND)]
    assert read(reader, answer(METHOD, [])) == {}


def test_texts_of_a_peer_are_printable_and_bounded() -> None:
    """Whatever it calls itself."""
    (row,) = read(Peers(Known()), answer(METHOD, [peer(1, subver="\x1b[31m" + "x" * 1000)]))["peer_state"]
    assert row["user_agent"] == r"\x1b[31m" + "x" * 251


def test_traffic_is_told_by_who_sent_it() -> None:
    """What the node received is inbound."""
    assert traffic(read(Peers(Known()), answer(METHOD, [PEER]))) == [
        (0, 7, False, "ping", 64),
        (0, 7, True, "ping", 96),
        (0, 7, True, "*other*", 30),
    ]


def test_traffic_is_told_each_minute_if_it_changed() -> None:
    """Type by type."""
    reader, told = Peers(Known()), []
    for second in range(0, 130, 10):
        grown = {"ping": 10 + second, "pong": 5}
        told += traffic(read(reader, answer(METHOD, [peer(1, bytesrecv_per_msg=grown)], second)))
    assert told == [(0, 1, True, "ping", 10), (0, 1, True, "pong", 5), (60, 1, True, "ping", 70), (120, 1, True, "ping", 130)]


def test_a_peer_that_is_gone_is_told_for_the_last_time() -> None:
    """As it was when it was seen last, at that time; and its id may come again."""
    reader = Peers(Known())
    read(reader, answer(METHOD, [peer(1)]))
    rows = [
        read(reader, answer(METHOD, [peer(1), peer(2, bytesrecv_per_msg={"addr": 55})], 10)),
        read(reader, answer(METHOD, [peer(1), peer(2, bytesrecv_per_msg={"addr": 99})], 20)),
        *(read(reader, answer(METHOD, [peer(1)], at)) for at in (30, 60, 120)),
        read(reader, answer(METHOD, [peer(2, bytesrecv_per_msg={"addr": 99})], 180)),
    ]
    assert [traffic(each) for each in rows] == [[], [], [], [(20, 2, True, "addr", 99)], [], [(180, 2, True, "addr", 99)]]


def test_a_clock_that_was_set_back_does_not_silence() -> None:
    """Traffic is told again at once."""
    reader = Peers(Known())
    read(reader, answer(METHOD, [peer(1)], 5000))
    assert len(traffic(read(reader, answer(METHOD, [peer(1, bytesrecv_per_msg={"addr": 1})], 0)))) == 1


def test_message_types_are_bounded() -> None:
    """In number, length and what is in them."""
    reader = Peers(Known())
    many = {f"type{i}": 1 for i in range(2 * TYPES)}
    told = traffic(read(reader, answer(METHOD, [peer(1, bytesrecv_per_msg={"a\nbcdefghijklmnop": 1} | many)])))
    assert len(told) == TYPES
    assert told[0][3] == r"a\x0abcdefghijk"[:15]
    assert reader.lacking() == ["getpeerinfo.bytesrecv_per_msg"]


def own(rows: dict[str, list[dict[str, Any]]]) -> list[tuple[Any, ...]]:
    return [(row["origin"], row["address"], row["port"]) for row in rows.get("own_address", [])]


def test_own_ends_of_connections_are_told_once() -> None:
    """With their port where that is the node's own, which is where peers connect to."""
    reader = Peers(Known())
    ends = {"addrbind": "10.0.0.5:8333", "addrlocal": "[2001:db8::5]:8333"}
    assert own(read(reader, answer(METHOD, [peer(1, inbound=True, **ends)]))) == [
        ("addrlocal", "2001:db8::5", 8333),
        ("addrbind", "10.0.0.5", 8333),
    ]
    ends = {"addrbind": "10.0.0.5:40001", "addrlocal": "9.9.9.9:40001"}
    again = [peer(i, inbound=False, **ends) for i in (2, 3)] + [peer(1, inbound=True, addrbind="10.0.0.5:8333")]
    assert own(read(reader, answer(METHOD, again))) == [("addrlocal", "9.9.9.9", None), ("addrbind", "10.0.0.5", None)]
    assert own(read(reader, answer(METHOD, again))) == []


def test_peers_cannot_make_up_addresses_without_end() -> None:
    """What those who connected claim is bounded; what others see is told all the same."""
    reader = Peers(Known())
    liars = [peer(i, inbound=True, addrlocal=f"10.{i >> 8}.{i & 255}.1:8333") for i in range(2 * MOST_CLAIMED)]
    assert len(own(read(reader, answer(METHOD, liars)))) == MOST_CLAIMED
    honest = peer(5, inbound=False, addrlocal="9.9.9.9:8333", addrbind="10.0.0.5:8333")
    assert len(own(read(reader, answer(METHOD, [*liars, honest])))) == 2
