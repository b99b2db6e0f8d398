"""Blocks and headers: from whom, and what is wrong with them (net_processing.cpp, validation.cpp, blockencodings.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import Template

HASH = "0a" * 32
"""In examples."""

TEMPLATES = (
    Template(
        "compact_block_begun",
        "cmpctblock",
        "Initialized PartiallyDownloadedBlock for block {hash} using a cmpctblock of size {value}",
        "A compact block came; `value` is its size.",
        "Initialized PartiallyDownloadedBlock for block " + HASH + " using a cmpctblock of size 300",
        "22-31",
    ),
    Template(
        "block_connected_in",
        "bench",
        "- Connect block: {value}ms {}",
        "A block was connected; `value` is in how many whole milliseconds.",
        "- Connect block: 37.20ms [0.11s (9.30ms/blk)]",
        "22-31",
    ),
    Template(
        "header_new",
        "none",
        "Saw new header hash={hash} height={value}",
        "A new header, from the node itself or by RPC; `value` is its height.",
        "Saw new header hash=" + HASH + " height=3",
        "25-31",
    ),
    Template(
        "header_new",
        "none",
        "Saw new header hash={hash} height={value} peer={peer}",
        "A new header of a peer; `value` is its height.",
        "Saw new header hash=" + HASH + " height=3 peer=2",
        "29-31",
    ),
    Template(
        "header_new",
        "none",
        "Saw new header hash={hash} peer={peer}",
        "A new header of a peer.",
        "Saw new header hash=" + HASH + " peer=2",
        "25-28",
    ),
    Template(
        "compact_block_new",
        "none",
        "Saw new cmpctblock header hash={hash} peer={peer}",
        "A new block came as a compact one.",
        "Saw new cmpctblock header hash=" + HASH + " peer=2",
        "25-29",
    ),
    Template(
        "compact_block_new",
        "none",
        "Saw new cmpctblock header hash={hash} height={value} peer={peer}",
        "A new block came as a compact one; `value` is its height.",
        "Saw new cmpctblock header hash=" + HASH + " height=3 peer=2",
        "29-31",
    ),
    Template(
        "compact_block_rebuilt",
        "cmpctblock",
        "Successfully reconstructed block {hash} with {} txn prefilled, {value} txn from mempool (incl at "
        "least {} from extra pool) and {value2} txn requested",
        "A compact block is whole; `value` transactions came from the mempool, `value2` had to be requested.",
        "Successfully reconstructed block "
        + HASH
        + " with 1 txn prefilled, 2000 txn from mempool (incl at least 3 from extra pool) and 5 txn requested",
        "22-29",
    ),
    Template(
        "compact_block_rebuilt",
        "cmpctblock",
        "Successfully reconstructed block {hash} with {} txn prefilled, {value} txn from mempool (incl at "
        "least {} from extra pool) and {value2} txn ({} bytes) requested",
        "A compact block is whole; `value` transactions came from the mempool, `value2` had to be requested.",
        "Successfully reconstructed block "
        + HASH
        + " with 1 txn prefilled, 2000 txn from mempool (incl at least 3 from extra pool) and 5 txn (900 bytes) requested",
        "30-31",
    ),
    Template(
        "block_received",
        "net",
        "received block {hash} peer={peer}",
        "A whole block came.",
        "received block " + HASH + " peer=2",
        "22-31",
    ),
    Template(
        "block_requested",
        "net",
        "Requesting block {hash} from  peer={peer}",
        "A block is requested.",
        "Requesting block " + HASH + " from  peer=2",
        "22-31",
    ),
    Template(
        "block_requested",
        "net",
        "Requesting block {hash} ({value}) peer={peer}",
        "A block is requested; `value` is its height.",
        "Requesting block " + HASH + " (3) peer=2",
        "22-31",
    ),
    Template(
        "stalling",
        "none",
        "Peer is stalling block download, disconnecting peer={peer}",
        "A peer holds up the download of blocks.",
        "Peer is stalling block download, disconnecting peer=2",
        "29-31",
    ),
    Template(
        "stalling",
        "none",
        "Peer={peer} is stalling block download, disconnecting",
        "A peer holds up the download of blocks.",
        "Peer=2 is stalling block download, disconnecting",
        "22-28",
    ),
    Template(
        "block_timeout",
        "none",
        "Timeout downloading block {hash}, disconnecting peer={peer}",
        "A block that was requested did not come in time.",
        "Timeout downloading block " + HASH + ", disconnecting peer=2",
        "29-31",
    ),
    Template(
        "headers_timeout",
        "none",
        "Timeout downloading headers, disconnecting peer={peer}",
        "Headers did not come in time.",
        "Timeout downloading headers, disconnecting peer=2",
        "29-31",
    ),
    Template(
        "stalling_timeout_raised",
        "net",
        "Increased stalling timeout temporarily to {value} seconds",
        "The node gives peers more time; `value` is how much.",
        "Increased stalling timeout temporarily to 4 seconds",
        "25-31",
    ),
    Template(
        "stalling_timeout_lowered",
        "net",
        "Decreased stalling timeout to {value} seconds",
        "The node gives peers less time; `value` is how much.",
        "Decreased stalling timeout to 2 seconds",
        "25-31",
    ),
    Template(
        "tip",
        "none",
        "UpdateTip: new best={hash} height={value} version={word} log2_work={} tx={value2} date={}",
        "The chain has a new end; `value` is its height, `value2` how many transactions it has.",
        "UpdateTip: new best="
        + HASH
        + " height=3 version=0x20000000 log2_work=3.0 tx=4 date='2026-11-25T04:28:25Z' progress=1.000000 cache=0.3MiB(3txo)",
        "22-31",
    ),
    Template(
        "stale_tip",
        "none",
        "Potential stale tip detected, will try using extra outbound peer (last tip update: {value} seconds ago)",
        "No block for long; `value` is for how many seconds.",
        "Potential stale tip detected, will try using extra outbound peer (last tip update: 1801 seconds ago)",
        "22-31",
    ),
    Template(
        "invalid_block",
        "none",
        "InvalidChainFound: invalid block={hash}  height={value}  log2_work={}  date={}",
        "A chain with an invalid block; `value` is its height.",
        "InvalidChainFound: invalid block=" + HASH + "  height=3  log2_work=3.000000  date=2026-11-25T04:28:25Z",
        "22-31",
    ),
    Template(
        "block_refused",
        "none",
        "ERROR: AcceptBlock: {text}",
        "A block is not accepted; `text` says why.",
        "ERROR: AcceptBlock: bad-txnmrklroot, hashMerkleRoot mismatch",
        "22-28",
    ),
    Template(
        "block_refused",
        "none",
        "[error] AcceptBlock: {text}",
        "A block is not accepted; `text` says why.",
        "[error] AcceptBlock: bad-txnmrklroot, hashMerkleRoot mismatch",
        "28-31",
    ),
    Template(
        "extra_outbound_closed",
        "net",
        "disconnecting extra outbound peer={peer} (last block announcement received at time {value})",
        "The outbound peer that announced a block longest ago makes room; `value` is when, in seconds since 1970.",
        "disconnecting extra outbound peer=9 (last block announcement received at time 1795580000)",
        "22-31",
    ),
)
