"""Address gossip (net_processing.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import Template

TEMPLATES = (
    Template(
        "addr_received",
        "net",
        "Received addr: {value} addresses ({value2} processed, {} rate-limited) from peer={peer}",
        "`value` addresses came, `value2` were processed.",
        "Received addr: 10 addresses (1 processed, 9 rate-limited) from peer=7",
        "22-31",
    ),
    Template(
        "getaddr_repeated",
        "net",
        'Ignoring repeated "getaddr". peer={peer}',
        "A peer asks for addresses a second time.",
        'Ignoring repeated "getaddr". peer=7',
        "22-31",
    ),
    Template(
        "getaddr_ignored",
        "net",
        'Ignoring "getaddr" from {text} connection. peer={peer}',
        "A peer that may not ask for addresses does; `text` is its connection type.",
        'Ignoring "getaddr" from outbound-full-relay connection. peer=7',
        "22-31",
    ),
    Template(
        "addr_ignored",
        "net",
        "ignoring {word} message from {text} peer={peer}",
        "Addresses from a peer that is not to send any; `text` is its connection type.",
        "ignoring addr message from block-relay-only peer=7",
        "22-31",
    ),
    Template(
        "addr_announced",
        "net",
        "Advertising address {word} to peer={peer}",
        "The node announced an address of its own, which is not kept.",
        "Advertising address 192.0.2.9:8333 to peer=7",
        "22-31",
    ),
    Template(
        "own_address_added",
        "none",
        "AddLocal({})",
        "The node learned an address of its own, which is not kept.",
        "AddLocal(192.0.2.9:8333,1)",
        "22-31",
    ),
    Template(
        "own_address_bound", "none", "Bound to {}", "The node listens; where is not kept.", "Bound to 127.0.0.1:18444", "22-31"
    ),
    Template(
        "addr_fetch_timeout",
        "net",
        "addrfetch connection timeout, disconnecting peer={peer}",
        "A peer that was asked for addresses gave none.",
        "addrfetch connection timeout, disconnecting peer=2",
        "29-31",
    ),
)
