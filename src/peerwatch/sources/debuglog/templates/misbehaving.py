"""What the node holds against peers (net_processing.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import Template

TEMPLATES = (
    Template(
        "misbehaving",
        "net",
        "Misbehaving: peer={peer}: {text}",
        "The peer did what no honest one does, and will be discouraged; `text` says what.",
        "Misbehaving: peer=5: headers message size = 2001",
        "29-31",
    ),
    Template(
        "discouraged",
        "net",
        "Disconnecting and discouraging peer {peer}!",
        "The peer is disconnected, and its address discouraged.",
        "Disconnecting and discouraging peer 5!",
        "22-31",
    ),
    Template(
        "not_discouraged",
        "net",
        "Warning: disconnecting but not discouraging {text} peer {peer}!",
        "The peer is disconnected only, as it is local or comes through Tor; `text` is which.",
        "Warning: disconnecting but not discouraging local peer 5!",
        "22-31",
    ),
    Template(
        "not_punished",
        "net",
        "Warning: not punishing {text} peer {peer}!",
        "A peer with a permission or one that was asked for by hand is not punished; `text` is which.",
        "Warning: not punishing noban peer 5!",
        "22-31",
    ),
    Template(
        "mutated_block",
        "net",
        "Received mutated block from peer={peer}",
        "A block whose transactions are not those of its header.",
        "Received mutated block from peer=3",
        "27-31",
    ),
    Template(
        "unsolicited_request",
        "net",
        "{word} ignoring request from peer={peer} for old block{} that isn't in the main chain",
        "A request for an old block off the main chain, which could tell nodes apart.",
        "ProcessGetBlockData: ignoring request from peer=4 for old block that isn't in the main chain",
        "22-31",
    ),
    Template(
        "low_work_headers",
        "net",
        "Ignoring low-work chain (height={value}) from peer={peer}",
        "Headers with too little work; `value` is their height.",
        "Ignoring low-work chain (height=2000) from peer=3",
        "24-31",
    ),
    Template(
        "low_work_compact_block",
        "net",
        "Ignoring low-work compact block from peer {peer}",
        "A compact block with too little work.",
        "Ignoring low-work compact block from peer 3",
        "24-31",
    ),
)
