"""The rows that follow from what btclib reads, and what it refuses that is well formed to Core and to us.

It is a Python library written after Bitcoin Core, with nearly every message up to BIP 434. When it is let, it checks more than
form, proof of work for one, so only its parsing is asked for; but for `addrv2`, where lengths of addresses are part of the rest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from btclib import p2p
from btclib.tx.tx import Tx

from peerwatch.wire.raw import printable
from tests.reference.decode import KEY
from tests.reference.messages.inv import item
from tests.reference.reader import Row

Rows = Iterator[Row]
ONION_CAT = bytes.fromhex("fd87d87eeb43")
NONE_OF_BLOCK = dict.fromkeys(
    (
        "version",
        "previous",
        "merkle_root",
        "time",
        "bits",
        "nonce",
        "prefilled",
        "short_ids",
        "hashes",
        "inputs",
        "outputs",
        "weight",
    )
)


def version(m: Any, _kind: str) -> Rows:
    """`version`."""
    to, by = m.addr_recv, m.addr_from
    row = {"protocol": m.version, "services": int(m.services), "time": m.timestamp, "nonce": m.nonce}
    row |= {"receiver_services": int(to.services), "receiver_ip": to.ip.packed, "receiver_port": to.port}
    row |= {"sender_ip": by.ip.packed, "sender_port": by.port, "user_agent": printable(m.user_agent)}
    yield row | {"start_height": m.start_height, "relay": m.relay}


def addr(m: Any, _kind: str) -> Rows:
    """`addr`."""
    for idx, entry in enumerate(m.addresses):
        ip = entry.address.ip
        tor = ip.packed.startswith(ONION_CAT)
        where = {"network": "torv2" if tor else "ipv4" if ip.ipv4_mapped else "ipv6"}
        where |= {"ip": None if tor else ip.packed, "key": ip.packed[6:] if tor else None}
        services, port = int(entry.address.services), entry.address.port
        yield {"idx": idx, "time": entry.timestamp, "services": services, "port": port} | where


def addrv2(m: Any, _kind: str) -> Rows:
    """`addrv2`: networks are named as btclib names them, but for those that BIP 155 itself does not name."""
    named = {"IPV4", "IPV6", "TORV2", "TORV3", "I2P", "CJDNS"}
    for idx, e in enumerate(m.addresses):
        name = getattr(e.network_id, "name", "")
        row = {"idx": idx, "time": e.timestamp, "services": int(e.services), "port": e.port, "ip": None, "key": None}
        row["network"] = name.lower() if name in named else "unknown"
        if name in ("IPV4", "IPV6", "CJDNS"):
            row["ip"] = e.address.rjust(6, b"\xff").rjust(16, b"\0")
        else:
            row["key"] = e.address[:32]
        yield row


def inventory(m: Any, kind: str) -> Rows:
    """`inv`, `getdata`, `notfound`."""
    for idx, e in enumerate(m.items):
        yield {"idx": idx, "message": kind, "kind": int(e.type_code), "item": item(e.hash[::-1], KEY)}


def locator(m: Any, kind: str) -> Rows:
    """`getheaders` and `getblocks`."""
    row = {"message": kind, "version": m.version & 0xFFFFFFFF, "hashes": len(m.locator), "stop": m.hash_stop[::-1]}
    yield row | {"tip": m.locator[0][::-1] if m.locator else None}


def headers(m: Any, _kind: str) -> Rows:
    """`headers`."""
    chain = m.headers
    breaks = sum(h.previous_block_hash != before.hash for before, h in itertools.pairwise(chain))
    row = {"headers": len(chain), "breaks": breaks, **dict.fromkeys(("previous", "first", "last"))}
    row |= dict.fromkeys(("first_time", "last_time", "last_bits"))
    if chain:
        row |= {"previous": chain[0].previous_block_hash[::-1], "first": chain[0].hash[::-1], "last": chain[-1].hash[::-1]}
        row |= {"first_time": int(chain[0].time.timestamp()), "last_time": int(chain[-1].time.timestamp())}
        row["last_bits"] = int.from_bytes(chain[-1].bits, "big")
    yield row


def tx(m: Any, _kind: str) -> Rows:
    """`tx`."""
    t = m.tx
    txid, wtxid = t.id[::-1], t.hash[::-1]
    row = {"txid": txid, "wtxid": wtxid, "txid_item": item(txid, KEY), "wtxid_item": item(wtxid, KEY)}
    row |= {"version": t.version & 0xFFFFFFFF, "lock_time": t.lock_time, "inputs": len(t.vin), "outputs": len(t.vout)}
    stripped = len(t.serialize(include_witness=False, check_validity=False))
    yield row | {"weight": t.weight, "witness": len(t.serialize(include_witness=True, check_validity=False)) - stripped}


def of_header(header: Any) -> Row:
    """Columns that speak of a block's header."""
    row = {"hash": header.hash[::-1], "version": header.version, "previous": header.previous_block_hash[::-1]}
    row |= {"merkle_root": header.merkle_root[::-1], "time": int(header.time.timestamp())}
    return row | {"bits": int.from_bytes(header.bits, "big"), "nonce": header.nonce}


def of_bodies(transactions: Sequence[Tx]) -> Row:
    """Columns that count what is in transactions."""
    row = {"inputs": sum(len(t.vin) for t in transactions), "outputs": sum(len(t.vout) for t in transactions)}
    return row | {"weight": sum(t.weight for t in transactions)}


def block(m: Any, kind: str) -> Rows:
    """`block`."""
    b = m.block
    row = {"message": kind, **NONE_OF_BLOCK, **of_header(b.header), **of_bodies(b.transactions)}
    yield row | {"transactions": len(b.transactions), "weight": b.weight}


def cmpctblock(m: Any, kind: str) -> Rows:
    """`cmpctblock`."""
    row = {"message": kind, **NONE_OF_BLOCK, **of_header(m.header), **of_bodies([p.tx for p in m.prefilled_txns])}
    yield row | {"transactions": m.tx_count, "prefilled": len(m.prefilled_txns), "short_ids": len(m.short_ids)}


def merkleblock(m: Any, kind: str) -> Rows:
    """`merkleblock`."""
    row = {"message": kind, **NONE_OF_BLOCK, **of_header(m.header)}
    yield row | {"transactions": m.tree.n_transactions, "hashes": len(m.tree.hashes)}


def getblocktxn(m: Any, kind: str) -> Rows:
    """`getblocktxn`."""
    yield {"message": kind, **NONE_OF_BLOCK, "hash": m.block_hash[::-1], "transactions": len(m.indexes)}


def blocktxn(m: Any, kind: str) -> Rows:
    """`blocktxn`."""
    row = {"message": kind, **NONE_OF_BLOCK, **of_bodies(m.transactions)}
    yield row | {"hash": m.block_hash[::-1], "transactions": len(m.transactions)}


def ping(m: Any, kind: str) -> Rows:
    """`ping` and `pong`."""
    yield {"pong": kind == "pong", "nonce": m.nonce}


def negotiation(m: Any, kind: str) -> Rows:
    """`sendcmpct`, `feefilter`, `sendtxrcncl`."""
    row = {"message": kind, "high_bandwidth": None, "version": None, "fee_rate": None, "salt": None}
    if kind == "sendcmpct":
        row |= {"high_bandwidth": m.announce, "version": m.version}
    elif kind == "feefilter":
        row |= {"fee_rate": m.feerate}
    else:
        row |= {"version": m.version, "salt": m.salt}
    yield row


def reject(m: Any, _kind: str) -> Rows:
    """`reject`."""
    row = {"message": printable(m.message.encode()), "code": int(m.code), "reason": printable(m.reason.encode())}
    yield row | {"hash": m.data[::-1] or None, "extra": len(m.data)}


def block_filter(m: Any, kind: str) -> Rows:
    """The messages of BIP 157."""
    row = {"message": kind, "filter_type": int(m.filter_type), "start_height": getattr(m, "start_height", None)}
    row |= {"hash": (m.block_hash if kind == "cfilter" else m.stop_hash)[::-1], "previous": None, "hashes": None, "bytes": None}
    if kind == "cfilter":
        row["bytes"] = len(m.filter_bytes)
    if kind == "cfheaders":
        row |= {"previous": m.previous_filter_header[::-1], "hashes": len(m.filter_hashes)}
    if kind == "cfcheckpt":
        row["hashes"] = len(m.filter_headers)
    yield row


def nothing(_m: Any, _kind: str) -> Rows:
    """A message that says nothing but its type, or of which no more is kept."""
    return iter(())


@dataclass(frozen=True, slots=True)
class Known:
    """btclib's class of a message type, and the rows that follow from an object of it."""

    payload: type[Any]
    rows: Callable[[Any, str], Rows]


KNOWN = {
    known.payload.command: known
    for known in (
        Known(p2p.Version, version), Known(p2p.Addr, addr), Known(p2p.AddrV2, addrv2),
        Known(p2p.Inv, inventory), Known(p2p.GetData, inventory), Known(p2p.NotFound, inventory),
        Known(p2p.GetHeaders, locator), Known(p2p.GetBlocks, locator), Known(p2p.Headers, headers),
        Known(p2p.TxPayload, tx), Known(p2p.BlockPayload, block), Known(p2p.MerkleBlock, merkleblock),
        Known(p2p.CmpctBlock, cmpctblock), Known(p2p.GetBlockTxn, getblocktxn), Known(p2p.BlockTxn, blocktxn),
        Known(p2p.Ping, ping), Known(p2p.Pong, ping), Known(p2p.Reject, reject),
        Known(p2p.SendCmpct, negotiation), Known(p2p.FeeFilter, negotiation), Known(p2p.SendTxRcncl, negotiation),
        Known(p2p.GetCFilters, block_filter), Known(p2p.CFilter, block_filter), Known(p2p.GetCFHeaders, block_filter),
        Known(p2p.CFHeaders, block_filter), Known(p2p.GetCFCheckpt, block_filter), Known(p2p.CFCheckpt, block_filter),
        *(Known(p, nothing) for p in (p2p.Verack, p2p.GetAddr, p2p.Mempool, p2p.SendHeaders, p2p.WtxidRelay, p2p.SendAddrV2)),
    )
}  # fmt: skip

UNKNOWN = {
    **dict.fromkeys(("filterload", "filteradd", "filterclear"), "of BIP 37 it has `merkleblock` only"),
    **dict.fromkeys(("reqrecon", "sketch", "reqsketchext", "reconcildiff"), "of BIP 330 it has the negotiation only"),
    **dict.fromkeys(("sendpackages", "getpkgtxns", "pkgtxns", "ancpkginfo"), "BIP 331 is a draft that nobody has"),
    "feature": "it has it, and we know it by name only",
    "alert": "retired before btclib was begun",
}
"""Types that it does not know, and why."""


_ENDS = "a `version` may end before its optional fields (Core, NetMsgType::VERSION)"
_TEXT = "a text is any bytes to Core, and need not be UTF-8"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something well formed that btclib refuses: the beginning of what it says then, and why we do not."""

    types: tuple[str, ...]
    says: str
    reason: str


REFUSALS = (
    Refusal(("ping",), "not enough data for the nonce: 0 bytes", "a `ping` from before BIP 31 is empty"),
    Refusal(("version",), "invalid relay flag", "Core takes everything but zero for true (serialize.h: bool)"),
    Refusal(("version",), "not enough data for the address services: 0 bytes", _ENDS),
    Refusal(("version",), "not enough binary data for var_int", _ENDS),
    Refusal(("version",), "not enough data for the version start height: 0 bytes", _ENDS),
    Refusal(("reject",), "invalid message", _TEXT),
    Refusal(("reject",), "invalid reason", _TEXT),
    Refusal(("sendcmpct",), "invalid announce octet", "as relay flag"),
    Refusal(("headers",), "invalid transaction count", "Core reads the count behind a header and does not look at it"),
)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Something that btclib takes and we find wrong: our error, how it shows in btclib's object, and why it is wrong."""

    types: tuple[str, ...]
    error: str
    when: Callable[[Any], bool]
    reason: str


ACCEPTANCES = (
    Acceptance(
        ("addrv2",), "bad_address_length",
        lambda m: any(e.network_id == p2p.BIP155Network.TORV2 and len(e.address) != 10 for e in m.addresses),
        "BIP 155 gives Tor v2 addresses a length, to which Core has not held them since it dropped them (v22)",
    ),
    Acceptance(
        ("reject",), "trailing",
        lambda m: m.message not in ("tx", "block"),
        "Core sent a hash for a transaction or a block only, and BIP 61 names no other data",
    ),
    Acceptance(
        ("cmpctblock",), "index_overflow",
        lambda m: any(p.index > len(m.short_ids) + number for number, p in enumerate(m.prefilled_txns)),
        "btclib looks at where indexes lead only when it looks at everything else, too",
    ),
)  # fmt: skip
