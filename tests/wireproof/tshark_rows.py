"""The rows that follow from what tshark says of a message, and what it does not know or gets wrong.

tshark's dissector is from 2011, and was last extended in 2015 (packet-bitcoin.c says so itself).
"""

from __future__ import annotations

import hashlib
import ipaddress
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.reference.decode import KEY
from tests.reference.messages.inv import item
from tests.reference.reader import Row, compact_size
from tests.wireproof.tshark import Fields

NONE_OF_BLOCK = dict.fromkeys(("prefilled", "short_ids", "hashes", "inputs", "outputs", "weight"))
ONION_CAT = ipaddress.ip_network("fd87:d87e:eb43::/48")


def signed(number: int) -> int:
    """A 32-bit number that tshark takes for unsigned."""
    return number - (1 << 32) if number >= 1 << 31 else number


def first(values: Sequence[Any]) -> Any:
    """The first value, None where there is none."""
    return values[0] if values else None


def count(f: Fields, name: str) -> int:
    """A count in whichever width it was sent, 0 where there is none; of `headers` there are more behind it, one a header."""
    return int(first(f.numbers(name) + f.numbers(f"{name}64")) or 0)


def sha256d(data: bytes) -> bytes:
    """SHA-256 twice."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def version(f: Fields, _kind: str) -> Iterator[Row]:
    """`version`: the two addresses are the receiver's and the sender's, and count when they are whole."""
    ports = f.numbers("address.port")
    services = f.numbers("address.services")[: len(ports)]
    ips = [ipaddress.IPv6Address(a).packed for a in f.texts("address.address")[: len(ports)]]
    for protocol, offered, time in zip(
        f.numbers("version.version"), f.numbers("version.services"), f.times("version.timestamp"), strict=False
    ):
        row = {"protocol": signed(protocol), "services": offered, "time": time}
        row |= {"receiver_services": first(services), "receiver_ip": first(ips), "receiver_port": first(ports)}
        row |= {"sender_ip": first(ips[1:]), "sender_port": first(ports[1:]), "nonce": first(f.numbers("version.nonce"))}
        heights, relays = f.numbers("version.start_height"), f.numbers("version.relay")
        row |= {"user_agent": first(f.texts("string.value")), "start_height": signed(heights[0]) if heights else None}
        yield row | {"relay": bool(relays[0]) if relays else None}


def addr(f: Fields, _kind: str) -> Iterator[Row]:
    """`addr`: one address after the other."""
    columns = f.times("addr.timestamp"), f.numbers("address.services"), f.texts("address.address"), f.numbers("address.port")
    for idx, time, services, shown, port in zip(range(count(f, "addr.count")), *columns, strict=False):
        ip = ipaddress.IPv6Address(shown)
        tor = ip in ONION_CAT
        network = "torv2" if tor else "ipv4" if ip.ipv4_mapped else "ipv6"
        where = {"network": network, "ip": None if tor else ip.packed, "key": ip.packed[6:] if tor else None}
        yield {"idx": idx, "time": time, "services": services, "port": port} | where


def inventory(f: Fields, kind: str) -> Iterator[Row]:
    """`inv`, `getdata`, `notfound`."""
    columns = f.numbers(f"{kind}.type"), f.octets(f"{kind}.hash")
    for idx, sort, id_ in zip(range(count(f, f"{kind}.count")), *columns, strict=False):
        yield {"idx": idx, "message": kind, "kind": sort, "item": item(id_, KEY)}


def locator(f: Fields, kind: str) -> Iterator[Row]:
    """`getheaders` and `getblocks`, whose protocol version goes by two other names."""
    hashes, stop = f.octets(f"{kind}.hash_start")[: count(f, f"{kind}.count")], first(f.octets(f"{kind}.hash_stop"))
    for number in f.numbers("headers.version" if kind == "getheaders" else "version.version"):
        yield {"message": kind, "version": number, "hashes": len(hashes), "tip": first(hashes), "stop": stop}


def header(f: Fields, kind: str) -> list[tuple[Any, ...]]:
    """Block headers: version, previous, root, time, bits, nonce."""
    columns = f.numbers(f"{kind}.version"), f.octets(f"{kind}.prev_block"), f.octets(f"{kind}.merkle_root")
    more = f.times(f"{kind}.timestamp"), f.numbers(f"{kind}.bits"), f.numbers(f"{kind}.nonce")
    return list(zip(*columns, *more, strict=False))


def header_hash(fields: tuple[Any, ...]) -> bytes:
    """Hash of a header that is put together again from what tshark says."""
    return sha256d(struct.pack("<I32s32sIII", *fields))


def headers(f: Fields, kind: str) -> Iterator[Row]:
    """`headers`, hashed anew."""
    if not f.texts("headers.count") and not f.texts("headers.count64"):
        return
    behind = len(f.texts("headers.count") + f.texts("headers.count64")) - 1  # a header is whole when its count is there
    chain = header(f, kind)[: min(count(f, "headers.count"), behind)]
    hashes = [header_hash(h) for h in chain]
    breaks = sum(h[1] != before for h, before in zip(chain[1:], hashes, strict=False))
    row = {"headers": len(chain), "breaks": breaks, "previous": chain[0][1] if chain else None}
    row |= {"first": first(hashes), "last": first(hashes[::-1]), "first_time": chain[0][3] if chain else None}
    yield row | {"last_time": chain[-1][3] if chain else None, "last_bits": chain[-1][4] if chain else None}


def tx(f: Fields, _kind: str) -> Iterator[Row]:
    """`tx` without witness, put together again and hashed."""
    if f.malformed:
        return
    body = serialized(f)
    lock, id_ = f.numbers("tx.lock_time")[-1], sha256d(body)
    row = {"txid": id_, "wtxid": id_, "txid_item": item(id_, KEY), "wtxid_item": item(id_, KEY), "lock_time": lock, "witness": 0}
    row |= {"version": f.numbers("tx.version")[0], "inputs": len(f.texts("tx.in")), "outputs": len(f.texts("tx.out"))}
    yield row | {"weight": 4 * len(body)}


def serialized(f: Fields) -> bytes:
    """All transactions of a message, put together again."""
    inputs = zip(
        f.octets("tx.in.prev_output.hash"), f.numbers("tx.in.prev_output.index"), f.octets("tx.in.sig_script"),
        f.numbers("tx.in.seq"), strict=True,
    )  # fmt: skip
    outputs = zip(f.numbers("tx.out.value"), f.octets("tx.out.script"), strict=True)
    out = b""
    for number, ins, outs, lock in zip(
        f.numbers("tx.version"), f.numbers("tx.input_count"), f.numbers("tx.output_count"), f.numbers("tx.lock_time"), strict=True
    ):
        out += struct.pack("<I", number) + compact_size(ins)
        for _ in range(ins):
            hash_, index, script, sequence = next(inputs)
            out += hash_ + struct.pack("<I", index) + compact_size(len(script)) + script + struct.pack("<I", sequence)
        out += compact_size(outs)
        for _ in range(outs):
            value, script = next(outputs)
            out += struct.pack("<Q", value) + compact_size(len(script)) + script
        out += struct.pack("<I", lock)
    return out


def block(f: Fields, kind: str) -> Iterator[Row]:
    """`block` and `merkleblock`."""
    for fields in header(f, kind):
        number, previous, root, time, bits, nonce = fields
        row = {"message": kind, "hash": header_hash(fields), "version": signed(number), "previous": previous, "merkle_root": root}
        row |= {"time": time, "bits": bits, "nonce": nonce, "transactions": count(f, f"{kind}.num_transactions")}
        row |= NONE_OF_BLOCK
        if kind == "merkleblock":
            row["hashes"] = count(f, "merkleblock.hashes.count")
        elif not f.malformed and 0 not in f.numbers("tx.input_count"):
            row |= {"inputs": len(f.texts("tx.in")), "outputs": len(f.texts("tx.out"))}
            row["weight"] = 4 * (80 + len(compact_size(row["transactions"])) + len(serialized(f)))
        yield row


def ping(f: Fields, kind: str) -> Iterator[Row]:
    """`ping` and `pong`."""
    for nonce in f.numbers(f"{kind}.nonce"):
        yield {"pong": kind == "pong", "nonce": nonce}


def reject(f: Fields, _kind: str) -> Iterator[Row]:
    """`reject`; data may be the hash of what was refused (BIP 61)."""
    texts, data = f.texts("string.value"), first(f.octets("reject.data")) or b""
    row = {"message": first(texts), "code": first(f.numbers("reject.ccode")), "reason": first(texts[1:])}
    yield row | {"hash": data[:32] if len(data) >= 32 else None, "extra": len(data)}


def bloom_filter(f: Fields, kind: str) -> Iterator[Row]:
    """`filterload` and `filteradd`."""
    row = {"message": kind, "functions": None, "tweak": None, "flags": None}
    if kind == "filterload":
        row |= {"functions": first(f.numbers("filterload.nhashfunc")), "tweak": first(f.numbers("filterload.ntweak"))}
        row["flags"] = first(f.numbers("filterload.nflags"))
    for data in f.octets("data.value"):
        yield row | {"bytes": len(data)}


def nothing(_f: Fields, _kind: str) -> Iterator[Row]:
    """A message that says nothing but its type."""
    return iter(())


KNOWN: dict[str, Callable[[Fields, str], Iterator[Row]]] = {
    "version": version,
    "addr": addr,
    **dict.fromkeys(("inv", "getdata", "notfound"), inventory),
    **dict.fromkeys(("getheaders", "getblocks"), locator),
    "headers": headers,
    "tx": tx,
    **dict.fromkeys(("block", "merkleblock"), block),
    **dict.fromkeys(("ping", "pong"), ping),
    "reject": reject,
    **dict.fromkeys(("filterload", "filteradd"), bloom_filter),
    **dict.fromkeys(("verack", "getaddr", "mempool", "filterclear"), nothing),
}
"""Rows of each type that tshark has a handler for."""

UNKNOWN = {
    **dict.fromkeys(("addrv2", "sendaddrv2"), "BIP 155 is of 2019"),
    "sendheaders": "BIP 130 is of 2015",
    "feefilter": "BIP 133 is of 2016",
    **dict.fromkeys(("sendcmpct", "cmpctblock", "getblocktxn", "blocktxn"), "BIP 152 is of 2016"),
    **dict.fromkeys(("getcfilters", "cfilter", "getcfheaders", "cfheaders", "getcfcheckpt", "cfcheckpt"), "BIP 157 is of 2017"),
    **dict.fromkeys(("sendtxrcncl", "reqrecon", "sketch", "reqsketchext", "reconcildiff"), "BIP 330 is of 2019"),
    "wtxidrelay": "BIP 339 is of 2020",
    **dict.fromkeys(("sendpackages", "getpkgtxns", "pkgtxns", "ancpkginfo"), "BIP 331 is of 2022"),
    "feature": "BIP 434 is of 2026",
    "alert": "never had a handler there",
}
"""Types that it has no handler for, and why: it says no more of them than type, length and checksum."""


@dataclass(frozen=True, slots=True)
class Excuse:
    """Columns of some types in which tshark may say something else. How many rows there are, and whether it ran out of bytes, is
    not compared then either. `when` is asked with the payload, our rows, and what tshark says.
    """

    name: str
    types: tuple[str, ...]
    columns: tuple[str, ...]
    reason: str
    when: Callable[[bytes, Sequence[Row], Fields], bool]


_TAIL = ("sender_ip", "sender_port", "nonce", "user_agent", "start_height", "relay")
_OF_BODY = ("inputs", "outputs", "weight")
_OF_TX = ("txid", "wtxid", "txid_item", "wtxid_item", "witness", "lock_time", *_OF_BODY)


REFUSED = ("tx", "block")
"""Types of which a `reject` has the hash."""


def _escaped(rows: Sequence[Row]) -> bool:
    return any("\\x" in value for row in rows for value in row.values() if isinstance(value, str))


EXCUSES = (
    Excuse(
        "time", ("version",), ("time",),
        "it takes the 64 bits of the time for 32 of seconds and 32 of nanoseconds",
        lambda payload, _rows, _f: any(payload[16:20]),
    ),
    Excuse(
        "tail", ("version",), _TAIL,
        "it goes by the protocol number which fields there are, and Core by the bytes that are left (NetMsgType::VERSION)",
        lambda payload, rows, _f: int.from_bytes(payload[:4], "little") < 70002 or any(row["relay"] is None for row in rows),
    ),
    Excuse(
        "no nonce", ("ping",), ("nonce",),
        "it wants the nonce that a `ping` from before BIP 31 does not have",
        lambda payload, _rows, _f: not payload,
    ),
    Excuse(
        "text", ("version", "reject"), ("user_agent", "message", "reason"),
        "it ends a text at the first NUL, and has its own signs for bytes that are not printable",
        lambda _payload, rows, _f: _escaped(rows),
    ),
    Excuse(
        "data", ("reject",), ("hash",),
        "whatever follows the reason is data to it, and not the hash that Core sent of a transaction or block",
        lambda _payload, rows, _f: any(row["extra"] and (row["extra"] < 32 or row["message"] not in REFUSED) for row in rows),
    ),
    Excuse(
        "witness", ("tx",), _OF_TX,
        "it does not know BIP 144 and takes the marker for a count of no inputs",
        lambda payload, _rows, _f: payload[4:5] == b"\0",
    ),
    Excuse(
        "witnesses", ("block",), _OF_BODY,
        "as witness: from the first transaction that has one it reads something else",
        lambda _payload, _rows, f: 0 in f.numbers("tx.input_count"),
    ),
)  # fmt: skip
