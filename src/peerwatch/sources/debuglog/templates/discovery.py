"""Where the node looks for peers and whom it lets go, clocks, and what it says of itself (net.cpp, banman.cpp, addrman.cpp …)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import wordings

TEMPLATES = (
    *wordings(
        "peer_connected",
        "none",
        "A handshake is done; `value` is the protocol version, `value2` the height, `text` the connection type.",
        (
            "New outbound peer connected: version: {value}, blocks={value2}, peer={peer} ({text})",
            "New outbound peer connected: version: 70016, blocks=9, peer=3 (block-relay-only)",
            "22-25",
        ),
        (
            "New {text} peer connected: transport: {word} version: {value}, blocks={value2} peer={peer}",
            "New inbound peer connected: transport: v2, version: 70016, blocks=9 peer=3",
            "31",
        ),
        (
            "New {text} peer connected: transport: {word} version: {value}, peer={peer}",
            "New inbound peer connected: transport: v2, version: 70016, peer=3",
            "32",
        ),
    ),
    *wordings(
        "version_sent",
        "net",
        "A `version` was sent; `value` is the protocol version, `value2` our height.",
        (
            "send version message: version={value}, blocks={value2}, {} peer={peer}",
            "send version message: version=70016, blocks=9, txrelay=1, peer=3",
            "31",
        ),
    ),
    *wordings(
        "outbound_tried",
        "net",
        "A connection is tried; `value` is its transport, `value2` hours since the address was seen, `text` the connection type.",
        (
            "trying connection {address} lastseen={value2}hrs",
            "trying connection 12.5.6.7:8333 lastseen=1.5hrs",
            "22-25",
        ),
        (
            "trying v{value} connection ({text}) to {address}, lastseen={value2}hrs",
            "trying v2 connection (outbound-full-relay) to 12.5.6.7:8333, lastseen=1.5hrs",
            "31",
        ),
    ),
    *wordings(
        "feeler_done",
        "net",
        "An address of the new table is a node's.",
        ("feeler connection completed peer={peer}; disconnecting", "feeler connection completed peer=3; disconnecting", "22-28"),
        ("feeler connection completed, disconnecting peer={peer}", "feeler connection completed, disconnecting peer=3", "29-31"),
    ),
    *wordings(
        "addr_fetch_done",
        "net",
        "A peer that was asked for addresses gave some.",
        (
            "addrfetch connection completed peer={peer}; disconnecting",
            "addrfetch connection completed peer=3; disconnecting",
            "22-28",
        ),
        (
            "addrfetch connection completed, disconnecting peer={peer}",
            "addrfetch connection completed, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "dns_seed_asked",
        "none",
        "A DNS seed is asked for addresses; `text` is its name.",
        ("Loading addresses from DNS seed {text}", "Loading addresses from DNS seed seed.example.org", "22-31"),
    ),
    *wordings(
        "dns_seeds_answered",
        "none",
        "DNS seeds gave `value` addresses.",
        ("{value} addresses found from DNS seeds", "55 addresses found from DNS seeds", "22-31"),
    ),
    *wordings(
        "fixed_seeds_used",
        "none",
        "Nobody else gave addresses, so those in the program are taken.",
        ("Adding fixed seeds as {}", "Adding fixed seeds as 60 seconds have passed and addrman is empty", "22-31"),
    ),
    *wordings(
        "seed_node_used",
        "none",
        "A configured seed node is asked for addresses.",
        (
            "Empty addrman, adding seednode ({}) to addrfetch",
            "Empty addrman, adding seednode (seed.example.org) to addrfetch",
            "29-31",
        ),
        (
            "Couldn't connect to peers from addrman after {} seconds. Adding seednode ({}) to addrfetch",
            "Couldn't connect to peers from addrman after 10 seconds. Adding seednode (seed.example.org) to addrfetch",
            "29-31",
        ),
    ),
    *wordings(
        "inbound_refused_no_socket",
        "none",
        "The node has more sockets open than it can watch.",
        (
            "connection from {address} dropped: non-selectable socket",
            "connection from 12.5.6.7:50000 dropped: non-selectable socket",
            "22-31",
        ),
    ),
    *wordings(
        "accept_failed",
        "none",
        "A connection could not be accepted; `text` says why, such as too many open files.",
        ("socket error accept failed: {text}", "socket error accept failed: Too many open files (24)", "22-31"),
    ),
    *wordings(
        "closed_by_operator",
        "net",
        "A peer was disconnected by RPC, or because its address was banned.",
        *(
            (text, text.replace("{}", "").format(peer=3), versions)
            for text, versions in (
                ("disconnect by address{} matched peer={peer}; disconnecting", "22-28"),
                ("disconnect by subnet{} matched peer={peer}; disconnecting", "22-28"),
                ("disconnect by id peer={peer}; disconnecting", "22-28"),
                ("disconnect by address{} match, disconnecting peer={peer}", "29-31"),
                ("disconnect by subnet{} match, disconnecting peer={peer}", "29-31"),
                ("disconnect by id, disconnecting peer={peer}", "29-31"),
                ("Network not active, dropping peer={peer}", "22-28"),
                ("Network not active, disconnecting peer={peer}", "29-31"),
            )
        ),
    ),
    *wordings(
        "network_switched",
        "none",
        "All connections were switched off or on; `text` is false or true.",
        ("SetNetworkActive: {text}", "SetNetworkActive: false", "22-31"),
    ),
    *wordings(
        "ban_over",
        "net",
        "A ban has run out.",
        ("Removed banned node address/subnet: {address}", "Removed banned node address/subnet: 12.5.6.0/24", "22-31"),
    ),
    *wordings(
        "bans_saved",
        "net",
        "Bans were written to disk; `value` is how many there are.",
        (
            "Flushed {value} banned node addresses/subnets to disk {}ms",
            "Flushed 5 banned node addresses/subnets to disk  1ms",
            "22-31",
        ),
    ),
    *wordings(
        "clock_offset",
        "net",
        "How far a peer's clock is ahead of ours: `value` seconds; `value2` is how many peers told theirs.",
        ("Added time offset {value}s, total samples {value2}", "Added time offset +3s, total samples 5", "28-31"),
        (
            "added time data, samples {value2}, offset {value} ({} minutes)",
            "added time data, samples 5, offset -70 (-1 minutes)",
            "22-27",
        ),
    ),
    *wordings(
        "clock_out_of_sync",
        "none",
        "The clocks of outbound peers are more than `value` minutes from ours.",
        (
            "[warning] Your computer's date and time appear to be more than {value} minutes out of sync with the network,{}",
            "[warning] Your computer's date and time appear to be more than 10 minutes out of sync with the network, ...",
            "28-31",
        ),
    ),
    *wordings(
        "own_address_removed",
        "none",
        "The node no longer has an address of its own, which is not kept.",
        ("RemoveLocal({})", "RemoveLocal(203.0.113.5:8333)", "22-31"),
    ),
    *wordings(
        "own_address_found",
        "none",
        "An interface of the machine has an address, which is not kept.",
        ("Discover: {}", "Discover: 203.0.113.5", "22-31"),
    ),
    *wordings(
        "configured",
        "none",
        "An option of the node, which is not kept.",
        *(
            (f"{kind} arg: {{}}", f"{kind} arg: externalip=203.0.113.5", "22-31")
            for kind in ("Command-line", "Config file", "Setting file")
        ),
    ),
    *wordings(
        "addrman_promoted",
        "addrman",
        "An address came into the tried table.",
        ("Moving {address} to tried", "Moving 12.5.6.7:8333 to tried", "22"),
    ),
    *wordings(
        "addrman_collision",
        "addrman",
        "An address would take the place of another in the tried table; `text` is that one, `value` how many such there are.",
        (
            "Collision inserting element into tried table ({text}), moving {address} to m_tried_collisions={value}",
            "Collision inserting element into tried table (12.5.6.7:8333), moving 12.5.6.8:8333 to m_tried_collisions=1",
            "22",
        ),
    ),
    *wordings(
        "addrman_added_from",
        "addrman",
        "`value` addresses of a peer were added.",
        ("Added {value} addresses from {address}: {} tried, {} new", "Added 5 addresses from 12.5.6.7: 0 tried, 5 new", "22-24"),
    ),
    *wordings(
        "addrman_lost",
        "addrman",
        "Addresses had no place when the tables were read from disk, `value` of the new and `value2` of the tried ones.",
        (
            "addrman lost {value} new and {value2} tried addresses due to collisions{}",
            "addrman lost 5 new and 1 tried addresses due to collisions or invalid addresses",
            "22-31",
        ),
    ),
    *wordings(
        "addrman_inconsistent",
        "none",
        "The tables of addresses contradict themselves; `value` is how.",
        ("ADDRMAN CONSISTENCY CHECK FAILED!!! err={value}", "ADDRMAN CONSISTENCY CHECK FAILED!!! err=-5", "22-30"),
    ),
)
