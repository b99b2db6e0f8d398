"""How versions before 29 worded what they logged when they closed a connection (net.cpp, net_processing.cpp).

From 29 on, such a line ends in `disconnecting peer=…`; before, every place had words of its own.
"""

from __future__ import annotations

from peerwatch.sources.debuglog.template import wordings

HASH = "0a" * 32
"""In examples."""

TEMPLATES = (
    *wordings(
        "socket_reset",
        "net",
        "A connection is closed by the node.",
        ("disconnecting peer={peer}", "disconnecting peer=3", "22-28"),
    ),
    *wordings(
        "socket_error",
        "net",
        "Reading from the peer failed; `text` says how.",
        ("socket recv error for peer={peer}: {text}", "socket recv error for peer=3: Connection reset by peer (104)", "22-28"),
    ),
    *wordings(
        "socket_send_error",
        "net",
        "Writing to the peer failed; `text` says how.",
        ("socket send error for peer={peer}: {text}", "socket send error for peer=3: Broken pipe (32)", "22-28"),
        (
            "socket send error, disconnecting peer={peer}: {text}",
            "socket send error, disconnecting peer=3: Broken pipe (32)",
            "29-31",
        ),
    ),
    *wordings(
        "silent_timeout",
        "net",
        "Nothing was received or sent in the first `value` seconds.",
        (
            "socket no message in first {value} seconds, {word} {word} peer={peer}",
            "socket no message in first 60 seconds, 1 0 peer=3",
            "22-28",
        ),
    ),
    *wordings(
        "sending_timeout",
        "net",
        "The peer takes nothing; `value` is for how many seconds.",
        ("socket sending timeout: {value}s peer={peer}", "socket sending timeout: 1201s peer=3", "22-28"),
    ),
    *wordings(
        "receive_timeout",
        "net",
        "The peer says nothing; `value` is for how many seconds.",
        ("socket receive timeout: {value}s peer={peer}", "socket receive timeout: 1201s peer=3", "22-28"),
    ),
    *wordings(
        "ping_timeout",
        "net",
        "No pong; `value` is after how many seconds.",
        ("ping timeout: {value}s peer={peer}", "ping timeout: 1200.110000s peer=3", "22-28"),
    ),
    *wordings(
        "addr_fetch_timeout",
        "net",
        "A peer that was asked for addresses gave none.",
        (
            "addrfetch connection timeout; disconnecting peer={peer}",
            "addrfetch connection timeout; disconnecting peer=3",
            "22-28",
        ),
    ),
    *wordings(
        "block_timeout",
        "none",
        "A block that was requested did not come in time.",
        (
            "Timeout downloading block {hash} from peer={peer}, disconnecting",
            "Timeout downloading block " + HASH + " from peer=3, disconnecting",
            "22-28",
        ),
    ),
    *wordings(
        "headers_timeout",
        "none",
        "Headers did not come in time.",
        (
            "Timeout downloading headers from peer={peer}, disconnecting",
            "Timeout downloading headers from peer=3, disconnecting",
            "22-28",
        ),
    ),
    *wordings(
        "headers_timeout_borne",
        "none",
        "Headers did not come in time, from a peer that is not disconnected for it.",
        (
            "Timeout downloading headers from noban peer={peer}, not disconnecting",
            "Timeout downloading headers from noban peer=3, not disconnecting",
            "22-28",
        ),
        (
            "Timeout downloading headers from noban peer, not disconnecting peer={peer}",
            "Timeout downloading headers from noban peer, not disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "obsolete_version",
        "net",
        "The peer's protocol is too old; `value` is its version.",
        (
            "peer={peer} using obsolete version {value}; disconnecting",
            "peer=3 using obsolete version 209; disconnecting",
            "22-28",
        ),
    ),
    *wordings(
        "services_missing",
        "net",
        "An outbound peer does not offer what the node wants of it.",
        (
            "peer={peer} does not offer the expected services ({word} offered, {word} expected); disconnecting",
            "peer=3 does not offer the expected services (00000000 offered, 00000409 expected); disconnecting",
            "22-28",
        ),
        (
            "peer does not offer the expected services ({word} offered, {word} expected), disconnecting peer={peer}",
            "peer does not offer the expected services (00000000 offered, 00000409 expected), disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "misbehaving",
        "net",
        "The peer did what no honest one does; `text` says what, its score goes from `value` to `value2`, and 100 is too much.",
        (
            "Misbehaving: peer={peer} ({value} -> {value2}){}: {text}",
            "Misbehaving: peer=3 (0 -> 20) DISCOURAGE THRESHOLD EXCEEDED: headers message size = 2001",
            "22-27",
        ),
        ("Misbehaving: peer={peer} ({value} -> {value2}){}", "Misbehaving: peer=3 (0 -> 100)", "22-27"),
        ("Misbehaving: peer={peer}", "Misbehaving: peer=3", "28-31"),
    ),
)
