"""Requests for what the node does not offer, or too much of it (net_processing.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import wordings

HASH = "0a" * 32
"""In examples."""
RANGE = "peer sent invalid getcfilters/getcfheaders with start height {} and stop height {}, disconnecting peer={}"

TEMPLATES = (
    *wordings(
        "mempool_refused",
        "net",
        "A peer asks for the whole mempool (BIP 35), which is not offered.",
        (
            "mempool request with bloom filters disabled, disconnect peer={peer}",
            "mempool request with bloom filters disabled, disconnect peer=3",
            "22-28",
        ),
        (
            "mempool request with bloom filters disabled, disconnecting peer={peer}",
            "mempool request with bloom filters disabled, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "mempool_refused_busy",
        "net",
        "A peer asks for the whole mempool (BIP 35), and the node's upload target is reached.",
        (
            "mempool request with bandwidth limit reached, disconnect peer={peer}",
            "mempool request with bandwidth limit reached, disconnect peer=3",
            "22-28",
        ),
        (
            "mempool request with bandwidth limit reached, disconnecting peer={peer}",
            "mempool request with bandwidth limit reached, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "bloom_refused",
        "net",
        "A peer sets up a bloom filter (BIP 37), which is not offered (BIP 111).",
        *(
            (text.format(kind), text.format(kind).format(peer=3), versions)
            for kind in ("filterload", "filteradd", "filterclear")
            for text, versions in (
                ("{} received despite not offering bloom services from peer={{peer}}; disconnecting", "22-28"),
                ("{} received despite not offering bloom services, disconnecting peer={{peer}}", "29-31"),
            )
        ),
        (
            "filtered block request received when NODE_BLOOM service disabled, disconnecting peer={peer}",
            "filtered block request received when NODE_BLOOM service disabled, disconnecting peer=3",
            "32",
        ),
    ),
    *wordings(
        "filters_refused",
        "net",
        "A peer asks for block filters (BIP 157) that are not offered; `value` is their type.",
        (
            "peer {peer} requested unsupported block filter type: {value}",
            "peer 3 requested unsupported block filter type: 0",
            "22-28",
        ),
        (
            "peer requested unsupported block filter type: {value}, disconnecting peer={peer}",
            "peer requested unsupported block filter type: 0, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "filters_unknown_block",
        "net",
        "A peer asks for block filters (BIP 157) up to a block that there is not.",
        ("peer {peer} requested invalid block hash: {hash}", "peer 3 requested invalid block hash: " + HASH, "22-28"),
        (
            "peer requested invalid block hash: {hash}, disconnecting peer={peer}",
            "peer requested invalid block hash: " + HASH + ", disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "filters_wrong_range",
        "net",
        "A peer asks for block filters (BIP 157) of a range that is none, from height `value` to `value2`.",
        (
            "peer {peer} sent invalid getcfilters/getcfheaders with start height {value} and stop height {value2}",
            "peer 3 sent invalid getcfilters/getcfheaders with start height 9 and stop height 5",
            "22-28",
        ),
        (
            RANGE.format("{value}", "{value2}", "{peer}"),
            RANGE.format(9, 5, 3),
            "29-31",
        ),
    ),
    *wordings(
        "filters_too_many",
        "net",
        "A peer asks for `value` block filters or their headers at once (BIP 157), over the limit of `value2`.",
        (
            "peer {peer} requested too many cfilters/cfheaders: {value} / {value2}",
            "peer 3 requested too many cfilters/cfheaders: 1001 / 1000",
            "22-28",
        ),
        (
            "peer requested too many cfilters/cfheaders: {value} / {value2}, disconnecting peer={peer}",
            "peer requested too many cfilters/cfheaders: 1001 / 1000, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "old_blocks_refused",
        "net",
        "A peer asks for old blocks, and the node's upload target is reached.",
        (
            "historical block serving limit reached, disconnect peer={peer}",
            "historical block serving limit reached, disconnect peer=3",
            "22-28",
        ),
        (
            "historical block serving limit reached, disconnecting peer={peer}",
            "historical block serving limit reached, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "pruned_block_refused",
        "net",
        "A peer asks a pruned node for a block that is too old.",
        (
            "Ignore block request below NODE_NETWORK_LIMITED threshold, disconnect peer={peer}",
            "Ignore block request below NODE_NETWORK_LIMITED threshold, disconnect peer=3",
            "22-28",
        ),
        (
            "Ignore block request below NODE_NETWORK_LIMITED threshold, disconnecting peer={peer}",
            "Ignore block request below NODE_NETWORK_LIMITED threshold, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "block_txs_refused",
        "net",
        "A peer asks for transactions of a block that the node does not have.",
        (
            "Peer {peer} sent us a getblocktxn for a block we don't have",
            "Peer 3 sent us a getblocktxn for a block we don't have",
            "22-31",
        ),
    ),
    *wordings(
        "block_txs_too_deep",
        "net",
        "A peer asks for transactions of a block deeper than `value`, and is sent the block.",
        (
            "Peer {peer} sent us a getblocktxn for a block > {value} deep",
            "Peer 3 sent us a getblocktxn for a block > 10 deep",
            "22-31",
        ),
    ),
    *wordings(
        "block_txs_sent",
        "cmpctblock",
        "A peer lacked `value` transactions of a compact block, of `value2` bytes.",
        (
            "Peer {peer} sent us a GETBLOCKTXN for block {hash}, sending a BLOCKTXN with {value} txns. ({value2} bytes)",
            "Peer 3 sent us a GETBLOCKTXN for block " + HASH + ", sending a BLOCKTXN with 2 txns. (500 bytes)",
            "30-31",
        ),
        (
            "peer={peer} sent us a GETBLOCKTXN for block {hash}, sending a BLOCKTXN with {value} txns. ({value2} bytes)",
            "peer=3 sent us a GETBLOCKTXN for block " + HASH + ", sending a BLOCKTXN with 2 txns. (500 bytes)",
            "32",
        ),
    ),
)
