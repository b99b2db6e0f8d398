"""Compact blocks that go wrong, and what validation says of blocks (net_processing.cpp, blockencodings.cpp, validation.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import wordings

HASH = "0a" * 32
"""In examples."""
TIP = "UpdateTip: new best={hash} height={value} version={word} log2_work={} tx={value2} date={} warning='{text}'"

TEMPLATES = (
    *wordings(
        "compact_block_begun",
        "cmpctblock",
        "A compact block came; `value` is its size.",
        (
            "Initialized PartiallyDownloadedBlock for block {hash} using a cmpctblock of {value} bytes",
            f"Initialized PartiallyDownloadedBlock for block {HASH} using a cmpctblock of 300 bytes",
            "30-31",
        ),
    ),
    *wordings(
        "compact_block_lacked",
        "cmpctblock",
        "A compact block was rebuilt with a transaction that had to be requested; told when they were fewer than five.",
        ("Reconstructed block {hash} required tx {word}", f"Reconstructed block {HASH} required tx {HASH}", "22-31"),
    ),
    *wordings(
        "compact_block_failed",
        "net",
        "A compact block could not be rebuilt; another download of the block is waited for.",
        (
            "Peer {peer} sent us a compact block but it failed to reconstruct, waiting on first download to complete",
            "Peer 3 sent us a compact block but it failed to reconstruct, waiting on first download to complete",
            "25-31",
        ),
    ),
    *wordings(
        "compact_block_known",
        "net",
        "A compact block that another peer sends already.",
        (
            "Peer sent us compact block we were already syncing!",
            "Peer sent us compact block we were already syncing!",
            "22-31",
        ),
    ),
    *wordings(
        "compact_block_unasked",
        "cmpctblock",
        "A compact block that the peer was not to send.",
        *(
            (text, text.format(peer=3), "32")
            for text in (
                "peer={peer} sent us a compact block even though we are still loading blocks!",
                "peer={peer} sent us a compact block even though we are blocksonly!",
                "peer={peer} sent us a compact block despite never having sent us a SENDCMPCT!",
                "peer={peer}, not marked as high-bandwidth, sent us an unsolicited compact block!",
            )
        ),
    ),
    *wordings(
        "block_txs_unasked",
        "net",
        "Transactions of a block that was not asked for.",
        (
            "Peer {peer} sent us block transactions for block we weren't expecting",
            "Peer 3 sent us block transactions for block we weren't expecting",
            "22-31",
        ),
    ),
    *wordings(
        "block_txs_repeated",
        "net",
        "Transactions of a block, for a second time.",
        (
            "Peer {peer} sent compact block transactions multiple times",
            "Peer 3 sent compact block transactions multiple times",
            "30-31",
        ),
    ),
    *wordings(
        "block_requested",
        "net",
        "A block is requested.",
        ("Requesting block {hash} from peer={peer}", f"Requesting block {HASH} from peer=3", "25-32"),
    ),
    *wordings(
        "block_mutated",
        "validation",
        "A block whose transactions are not those of its header; `text` says what differs.",
        ("Block mutated: {text}", "Block mutated: bad-txnmrklroot, hashMerkleRoot mismatch", "25-31"),
    ),
    *wordings(
        "block_checked",
        "validation",
        "A block was validated; `text` is `Valid`, or why it is not.",
        ("BlockChecked: block hash={hash} state={text}", f"BlockChecked: block hash={HASH} state=Valid", "22-31"),
    ),
    *wordings(
        "block_invalid",
        "none",
        "A block breaks the rules of consensus; `text` says which.",
        ("Block validation error: {text}", "Block validation error: bad-cb-amount", "29-31"),
    ),
    *wordings(
        "invalid_chain_ahead",
        "none",
        "An invalid chain has six blocks' work more than the best valid one.",
        (
            "CheckForkWarningConditions: Warning: Found invalid chain at least ~6 blocks longer than our best chain.",
            "CheckForkWarningConditions: Warning: Found invalid chain at least ~6 blocks longer than our best chain.",
            "22-30",
        ),
        (
            "[warning] Found invalid chain more than 6 blocks longer than our best chain.{}",
            "[warning] Found invalid chain more than 6 blocks longer than our best chain. This could be due to ...",
            "31",
        ),
    ),
    *wordings(
        "tip",
        "none",
        "The chain has a new end; `value` is its height, `value2` how many transactions it has, `text` a warning.",
        (
            TIP,
            f"UpdateTip: new best={HASH} height=9 version=0x20000000 log2_work=5.1 tx=9 date='...' warning='Unknown new rules'",
            "22-31",
        ),
    ),
    *wordings(
        "block_validated_in",
        "bench",
        "Scripts of a block were checked; `value` is in how many whole milliseconds, `value2` how many inputs.",
        (
            "    - Verify {value2} txins: {value}ms {}",
            "    - Verify 5000 txins: 120.33ms (0.024ms/txin) [0.12s (120.33ms/blk)]",
            "22-31",
        ),
    ),
    *wordings(
        "block_disconnected_in",
        "bench",
        "A block was taken off the chain; `value` is in how many whole milliseconds.",
        ("- Disconnect block: {value}ms", "- Disconnect block: 37.20ms", "22-31"),
    ),
    *wordings("error", "none", "An error; `text` is it.", ("ERROR: {text}", "ERROR: ConnectBlock(): too many sigops", "22-28")),
)
