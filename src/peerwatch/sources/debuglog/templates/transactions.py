"""Transactions that are refused, and orphans (net_processing.cpp, node/txdownloadman_impl.cpp, txorphanage.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import Template

HASH, OTHER_HASH = "0a" * 32, "0b" * 32
"""In examples."""

TEMPLATES = (
    Template(
        "tx_refused",
        "mempoolrej",
        "{hash} (wtxid={word} from peer={peer} was not accepted: {text}",
        "A transaction was refused; `text` says why.",
        HASH + " (wtxid=" + OTHER_HASH + ") from peer=3 was not accepted: min relay fee not met, 0 < 110",
        "26-31",
    ),
    Template(
        "tx_refused",
        "mempoolrej",
        "{hash} from peer={peer} was not accepted: {text}",
        "A transaction was refused; `text` says why.",
        HASH + " from peer=3 was not accepted: min relay fee not met, 0 < 110",
        "22-25",
    ),
    Template(
        "tx_accepted",
        "mempool",
        "AcceptToMemoryPool: peer={peer}: accepted {hash} (wtxid={word} (poolsz {value} txn, {value2} kB)",
        "A transaction was accepted; `value` is how many there are, `value2` their size.",
        "AcceptToMemoryPool: peer=3: accepted " + HASH + " (wtxid=" + OTHER_HASH + ") (poolsz 1 txn, 1 kB)",
        "26-31",
    ),
    Template(
        "orphan_stored",
        "txpackages",
        "stored orphan tx {hash} (wtxid={word} weight: {value} (mapsz {value2} outsz {}",
        "A transaction waits for its parents; `value` is its weight, `value2` how many wait.",
        "stored orphan tx " + HASH + " (wtxid=" + OTHER_HASH + "), weight: 400 (mapsz 1 outsz 1)",
        "26-29",
    ),
    Template(
        "orphan_refused",
        "txpackages",
        "   invalid orphan tx {hash} (wtxid={word} from peer={peer}. {text}",
        "A transaction whose parents came is invalid; `text` says why.",
        "   invalid orphan tx " + HASH + " (wtxid=" + OTHER_HASH + ") from peer=3. bad-txns",
        "26-31",
    ),
    Template(
        "orphan_overflow",
        "txpackages",
        "orphanage overflow, removed {value} tx",
        "More orphans than there is room for; `value` were removed.",
        "orphanage overflow, removed 3 tx",
        "26-29",
    ),
    Template(
        "orphan_overflow",
        "txpackages",
        "orphanage overflow, removed {value} tx ({value2} announcements)",
        "More orphans than there is room for; `value` were removed, and `value2` announcements of them.",
        "orphanage overflow, removed 3 tx (5 announcements)",
        "30-31",
    ),
    Template(
        "orphans_of_peer_erased",
        "txpackages",
        "Erased {value} orphan transaction(s) from peer={peer}",
        "A peer went, and so did the orphans that only it had announced; `value` is how many.",
        "Erased 2 orphan transaction(s) from peer=3",
        "26-31",
    ),
    Template(
        "tx_request_timeout",
        "net",
        "timeout of inflight {word} {hash} from peer={peer}",
        "A transaction that was requested did not come in time.",
        "timeout of inflight wtx " + HASH + " from peer=3",
        "22-31",
    ),
    Template(
        "fee_filter",
        "net",
        "received: feefilter of {text} from peer={peer}",
        "The lowest fee rate that a peer wants; `text` is it.",
        "received: feefilter of 0.00001000 BTC/kvB from peer=3",
        "22-31",
    ),
)
