"""Messages that break the rules of the protocol without being punished, or that cannot be read (net_processing.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import wordings

HASH = "0a" * 32
"""In examples."""

TEMPLATES = (
    *wordings(
        "unknown_message",
        "net",
        "A message of a type that the node does not know; `text` is the type.",
        ('Unknown command "{text}" from peer={peer}', 'Unknown command "sendtemplate" from peer=3', "22-30"),
        ('Unknown message type "{text}" from peer={peer}', 'Unknown message type "sendtemplate" from peer=3', "31"),
    ),
    *wordings(
        "unknown_inventory",
        "net",
        "An inventory entry of a type that the node does not know; `text` is the entry.",
        (
            'Unknown inv type "{text}" received from peer={peer}',
            'Unknown inv type "0x0000004d ' + HASH + '" received from peer=3',
            "22-31",
        ),
    ),
    *wordings(
        "unreadable_message",
        "net",
        "A message could not be read to its end; `text` is the exception, `value` the size. The line before tells type and peer.",
        (
            "ProcessMessages({}, {value} bytes): Exception '{text}' ({word}) caught",
            "ProcessMessages(tx, 2 bytes): Exception 'DataStream::read(): end of data' (NSt8ios_base7failureE) caught",
            "22-31",
        ),
    ),
    *wordings(
        "unreadable_message",
        "net",
        "A message could not be read to its end; `text` is its type, `value` its size.",
        (
            "ProcessMessages({text}, {value} bytes): Unknown exception caught",
            "ProcessMessages(tx, 2 bytes): Unknown exception caught",
            "22-31",
        ),
    ),
    *wordings(
        "redundant_version",
        "net",
        "A second `version`.",
        ("redundant version message from peer={peer}", "redundant version message from peer=3", "22-31"),
    ),
    *wordings(
        "message_before_verack",
        "net",
        "A message before `verack`; `text` is its type.",
        (
            'Unsupported message "{text}" prior to verack from peer={peer}',
            'Unsupported message "ping" prior to verack from peer=3',
            "22-31",
        ),
    ),
    *wordings(
        "feature_too_late",
        "net",
        "A message that belongs before `verack` came after it.",
        *(
            (text.format(kind), text.format(kind).format(peer=3), versions)
            for kind in ("wtxidrelay", "sendaddrv2", "sendtxrcncl")
            for text, versions in (
                ("{} received after verack from peer={{peer}}; disconnecting", "22-28"),
                ("{} received after verack, disconnecting peer={{peer}}", "29-31"),
            )
        ),
        ("feature received after verack, disconnecting peer={peer}", "feature received after verack, disconnecting peer=3", "32"),
    ),
    *wordings(
        "reconciliation_violation",
        "net",
        "A peer breaks the rules of transaction reconciliation (BIP 330).",
        (
            "txreconciliation protocol violation from peer={peer}{}; disconnecting",
            "txreconciliation protocol violation from peer=3; disconnecting",
            "25-28",
        ),
        (
            "txreconciliation protocol violation{}, disconnecting peer={peer}",
            "txreconciliation protocol violation, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "pong_wrong",
        "net",
        "A `pong` that answers no `ping` of ours; `text` says what is wrong, `value` is its size.",
        (
            "pong peer={peer}: {text}, {word} expected, {word} received, {value} bytes",
            "pong peer=3: Nonce mismatch, 1f expected, 2f received, 8 bytes",
            "22-31",
        ),
    ),
    *wordings(
        "tx_unwanted",
        "net",
        "A transaction from a peer that is to send none.",
        (
            "transaction sent in violation of protocol peer={peer}",
            "transaction sent in violation of protocol peer=3",
            "22-28",
        ),
        (
            "transaction sent in violation of protocol, disconnecting peer={peer}",
            "transaction sent in violation of protocol, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "tx_announcement_unwanted",
        "net",
        "A transaction was announced by a peer that is to announce none.",
        (
            "transaction ({hash}) inv sent in violation of protocol, disconnecting peer={peer}",
            "transaction (" + HASH + ") inv sent in violation of protocol, disconnecting peer=3",
            "22-31",
        ),
    ),
    *wordings(
        "locator_too_long",
        "net",
        "A request for blocks or headers with `value` hashes, over the limit of `value2`.",
        *(
            (
                f"{kind} locator size {{value}} > {{value2}}, {verb} peer={{peer}}",
                f"{kind} locator size 102 > 101, {verb} peer=3",
                versions,
            )
            for kind in ("getblocks", "getheaders")
            for verb, versions in (("disconnect", "22-28"), ("disconnecting", "29-31"))
        ),
    ),
    *wordings(
        "unexpected_message",
        "net",
        "A block, or part of one, while the node loads blocks from disk; `text` is the type.",
        ("Unexpected {text} message received from peer {peer}", "Unexpected headers message received from peer 3", "22-31"),
    ),
    *wordings(
        "invalid_from_peer",
        "net",
        "A block or header is invalid, for which this peer is not punished; `text` says why.",
        ("peer={peer}: {text}", "peer=3: invalid header received", "22-31"),
    ),
    *wordings(
        "invalid_from_peer",
        "none",
        "A header is invalid; `text` says why.",
        (
            "[warning] {text} (received from peer={peer}). If this happens with all peers, consider {}",
            "[warning] header is invalid (received from peer=3). If this happens with all peers, consider corruption ...",
            "31",
        ),
    ),
    *wordings(
        "not_punished",
        "none",
        "A peer with a permission or one that was asked for by hand is not punished; `text` is which.",
        ("[warning] Not punishing {text} peer {peer}!", "[warning] Not punishing noban peer 3!", "31"),
    ),
)
