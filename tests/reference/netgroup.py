"""Bitcoin Core's netgroups for reading, byte by byte: what src/netgroup.cpp and src/netaddress.cpp do, without any shortcut."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress

NETS = ("unroutable", "ipv4", "ipv6", "onion", "i2p", "cjdns", "internal")
"""By the value of Core's `enum Network`."""

UNROUTABLE = [
    *map(ipaddress.ip_network, ("0.0.0.0/8", "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15")),
    *map(ipaddress.ip_network, ("169.254.0.0/16", "100.64.0.0/10", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")),
    *map(ipaddress.ip_network, ("255.255.255.255", "::", "::1", "2001:db8::/32", "fe80::/64", "fc00::/7")),
    *map(ipaddress.ip_network, ("2001:10::/28", "2001:20::/28")),
]


def read(host: str) -> tuple[str, bytes] | None:
    """How an address is written and its bytes, or None."""
    lower = host.lower()
    try:
        if lower.endswith(".onion"):
            raw = base64.b32decode(lower.removesuffix(".onion").upper())
            checksum = hashlib.sha3_256(b".onion checksum" + raw[:32] + b"\3").digest()[:2]
            return ("onion", raw[:32]) if len(raw) == 35 and raw[32:] == checksum + b"\3" else None
        if lower.endswith(".b32.i2p"):
            name = lower.removesuffix(".b32.i2p")
            raw = base64.b32decode(name.upper() + "====")
            return ("i2p", raw) if base64.b32encode(raw).decode().lower().rstrip("=") == name else None
        if lower.endswith(".internal"):
            raw = base64.b32decode(lower.removesuffix(".internal").upper())
            return ("internal", raw) if len(raw) == 10 else None
        address = ipaddress.ip_address(host)
    except (ValueError, binascii.Error):
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return f"ipv{address.version}", address.packed


def routable(kind: str, raw: bytes) -> bool:
    """Core's IsRoutable."""
    if kind not in ("ipv4", "ipv6"):
        return kind != "internal"
    address = ipaddress.ip_address(raw)
    return not any(address in network for network in UNROUTABLE if network.version == address.version)


def linked(kind: str, raw: bytes) -> bytes | None:
    """Core's GetLinkedIPv4, for what is routable."""
    if kind == "ipv4":
        return raw
    if kind != "ipv6":
        return None
    if raw[:12] in (bytes.fromhex("0064ff9b0000000000000000"), bytes.fromhex("0000000000000000ffff0000")):
        return raw[12:]
    if raw[:2] == b"\x20\x02":
        return raw[2:6]
    return bytes(255 - byte for byte in raw[12:]) if raw[:4] == b"\x20\x01\0\0" else None


def group(host: str, *, cjdns: bool = True) -> list[int] | None:
    """Core's GetGroup as numbers, the first of which is the network class; None of what is no address.

    `cjdns` says whether the node can reach CJDNS.
    """
    known = read(host)
    if known is None:
        return None
    kind, raw = known
    if kind == "ipv6" and raw[0] == 0xFC and cjdns:
        kind = "cjdns"
    if kind == "internal":
        return [6, *raw]
    if not routable(kind, raw):
        return [0]
    ipv4 = linked(kind, raw)
    if ipv4 is not None:
        return [1, *ipv4[:2]]
    bits = {"onion": 4, "i2p": 4, "cjdns": 12}.get(kind) or (36 if raw[:4] == bytes.fromhex("20010470") else 32)
    whole, rest = divmod(bits, 8)
    tail = [raw[whole] | (0xFF >> rest)] if rest else []
    return [NETS.index(kind), *raw[:whole], *tail]


def as_text(numbers: list[int] | None) -> str:
    """A group as peerwatch writes it."""
    if numbers is None:
        return "unknown"
    net, rest = NETS[numbers[0]], bytes(numbers[1:])
    if net == "ipv4":
        return str(ipaddress.ip_network((rest + b"\0\0", 16)))
    if net == "ipv6":
        bits = 32 if len(rest) == 4 else 36
        return str(ipaddress.ip_network(((rest[:4] + bytes([rest[4] & 0xF0] if rest[4:] else [])).ljust(16, b"\0"), bits)))
    if net == "unroutable":
        return net
    return f"{net}:{rest.hex()}" if net == "internal" else f"{net}:{rest[-1] >> 4:x}"
