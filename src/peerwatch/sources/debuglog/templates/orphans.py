"""Transactions that wait for their parents, and a mempool that is full (txorphanage.cpp, txmempool.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import wordings

HASH = "0a" * 32
"""In examples."""

TEMPLATES = (
    *wordings(
        "orphan_overflow_of_peer",
        "txpackages",
        "A peer announced more orphans than its share of the room; `value` of its `value2` announcements were removed.",
        (
            "peer={peer} orphanage overflow, removed {value} of {value2} announcements",
            "peer=3 orphanage overflow, removed 5 of 100 announcements",
            "30-31",
        ),
    ),
    *wordings(
        "orphan_too_large",
        "txpackages",
        "A transaction without parents is too large to wait; `value` is its size.",
        (
            "ignoring large orphan tx (size: {value}, hash: {hash})",
            f"ignoring large orphan tx (size: 500000, hash: {HASH})",
            "22-25",
        ),
        (
            "ignoring large orphan tx (size: {value}, txid: {hash}, wtxid: {word}",
            f"ignoring large orphan tx (size: 500000, txid: {HASH}, wtxid: {HASH})",
            "26-31",
        ),
    ),
    *wordings(
        "orphan_stored",
        "txpackages",
        "A transaction waits for its parents; `value2` is how many wait.",
        ("stored orphan tx {hash} (mapsz {value2} outsz {word}", f"stored orphan tx {HASH} (mapsz 3 outsz 4)", "22-25"),
        (
            "stored orphan tx {hash} (wtxid={word} (mapsz {value2} outsz {word}",
            f"stored orphan tx {HASH} (wtxid={HASH}) (mapsz 3 outsz 4)",
            "26-27",
        ),
    ),
    *wordings(
        "orphan_announced",
        "txpackages",
        "One more peer has announced an orphan.",
        (
            "added peer={peer} as announcer of orphan tx {hash} (wtxid={word}",
            f"added peer=3 as announcer of orphan tx {HASH} (wtxid={HASH})",
            "30-31",
        ),
        ("added peer={peer} as announcer of orphan tx {hash}", f"added peer=3 as announcer of orphan tx {HASH}", "29"),
    ),
    *wordings(
        "orphan_refused",
        "txpackages",
        "A transaction whose parents came is invalid; `text` says why.",
        (
            "   invalid orphan tx {hash} from peer={peer}. {text}",
            f"   invalid orphan tx {HASH} from peer=3. bad-txns-in",
            "22-25",
        ),
    ),
    *wordings(
        "orphans_of_peer_erased",
        "txpackages",
        "A peer went, and so did its orphans; `value` is how many.",
        ("Erased {value} orphan tx from peer={peer}", "Erased 5 orphan tx from peer=3", "22-27"),
    ),
    *wordings(
        "orphans_expired",
        "txpackages",
        "Parents did not come for too long; `value` is of how many.",
        ("Erased {value} orphan tx due to expiration", "Erased 5 orphan tx due to expiration", "22-29"),
    ),
    *wordings(
        "orphans_of_block_erased",
        "txpackages",
        "A block has orphans in it, or what they spend; `value` is how many.",
        (
            "Erased {value} orphan tx included or conflicted by block",
            "Erased 5 orphan tx included or conflicted by block",
            "22-27",
        ),
        (
            "Erased {value} orphan transaction(s) included or conflicted by block",
            "Erased 5 orphan transaction(s) included or conflicted by block",
            "28-31",
        ),
    ),
    *wordings(
        "orphan_hopeless",
        "mempool",
        "An orphan is not kept, as a parent of it was refused.",
        (
            "not keeping orphan with rejected parents {hash} (wtxid={word}",
            f"not keeping orphan with rejected parents {HASH} (wtxid={HASH})",
            "26-31",
        ),
        (
            "not keeping orphan with rejected parents {hash}",
            f"not keeping orphan with rejected parents {HASH}",
            "22-25",
        ),
    ),
    *wordings(
        "tx_accepted",
        "mempool",
        "A transaction was accepted; `value` is how many there are, `value2` their size.",
        (
            "AcceptToMemoryPool: peer={peer}: accepted {hash} (poolsz {value} txn, {value2} kB)",
            f"AcceptToMemoryPool: peer=3: accepted {HASH} (poolsz 5 txn, 9 kB)",
            "22-25",
        ),
    ),
    *wordings(
        "mempool_trimmed",
        "mempool",
        "The mempool is full; `value` transactions were removed, and `text` is the fee rate that is asked from now on.",
        (
            "Removed {value} txn, rolling minimum fee bumped to {text}",
            "Removed 5 txn, rolling minimum fee bumped to 0.00001000 BTC/kvB",
            "22-31",
        ),
    ),
    *wordings(
        "mempool_expired",
        "mempool",
        "Transactions waited for a block for too long; `value` is how many.",
        ("Expired {value} transactions from the memory pool", "Expired 5 transactions from the memory pool", "22-31"),
    ),
    *wordings(
        "relay_backlog",
        "net",
        "Announcements of transactions are held back, `value` to inbound and `value2` to outbound peers.",
        (
            "Transaction rate-limiting backlog inbound={value} itok={word} isz={word} outbound={value2} otok={word} osz={word}",
            "Transaction rate-limiting backlog inbound=5 itok=1.5 isz=2.0 outbound=6 otok=1.5 osz=2.0",
            "32",
        ),
    ),
)
