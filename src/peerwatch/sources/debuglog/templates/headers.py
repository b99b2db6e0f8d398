"""Headers that lead nowhere, and outbound peers whose chain is behind (headerssync.cpp, net_processing.cpp, validation.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import wordings

HASH = "0a" * 32
"""In examples."""
CURRENT = "sending getheaders to outbound peer={} to verify chain work (current best known block:{} benchmark blockhash: {})"
ENOUGH = "Initial headers sync transition with peer={}: reached sufficient work at height={}, redownloading from height={}"

TEMPLATES = (
    *wordings(
        "presync_begun",
        "net",
        "A peer's headers are looked through for enough work, from height `value` on; `value2` is how many commitments are kept.",
        (
            "Initial headers sync started with peer={peer}: height={value}, max_commitments={value2}, min_work={word}",
            "Initial headers sync started with peer=3: height=0, max_commitments=1000, min_work=" + HASH,
            "24-31",
        ),
    ),
    *wordings(
        "presync_aborted",
        "net",
        "Looking through a peer's headers ended at height `value`; `text` says why.",
        (
            "Initial headers sync aborted with peer={peer}: {text} at height={value} ({word} phase)",
            "Initial headers sync aborted with peer=3: non-continuous headers at height=2000 (presync phase)",
            "24-31",
        ),
    ),
    *wordings(
        "presync_enough_work",
        "net",
        "A peer's headers have enough work at height `value`, and are downloaded once more from `value2` on.",
        (
            ENOUGH.format("{peer}", "{value}", "{value2}"),
            ENOUGH.format(3, 9, 0),
            "24-31",
        ),
    ),
    *wordings(
        "presync_done",
        "net",
        "A peer's headers were downloaded a second time and are the same, up to height `value`.",
        (
            "Initial headers sync complete with peer={peer}: releasing all at height={value} (redownload phase)",
            "Initial headers sync complete with peer=3: releasing all at height=9 (redownload phase)",
            "24-31",
        ),
    ),
    *wordings(
        "header_unconnected",
        "net",
        "A header whose predecessor is not known; headers after height `value` are asked for.",
        *(
            (
                "received header {hash}: missing prev block {word} sending getheaders ({value}) to end (peer={peer}" + end,
                f"received header {HASH}: missing prev block {HASH}, sending getheaders (9) to end (peer=3{example}",
                versions,
            )
            for end, example, versions in (
                (", nUnconnectingHeaders={})", ", nUnconnectingHeaders=1)", "22-24"),
                (", m_num_unconnecting_headers_msgs={})", ", m_num_unconnecting_headers_msgs=1)", "25-27"),
                (")", ")", "28-31"),
            )
        ),
    ),
    *wordings(
        "header_refused",
        "validation",
        "A header is not accepted; `text` says why.",
        *(
            (text, text.format(hash=HASH, text="time-too-new"), versions)
            for text, versions in (
                ("AcceptBlockHeader: Consensus::CheckBlockHeader: {hash}, {text}", "22-31"),
                ("AcceptBlockHeader: Consensus::ContextualCheckBlockHeader: {hash}, {text}", "25-31"),
                ("ERROR: AcceptBlockHeader: Consensus::ContextualCheckBlockHeader: {hash}, {text}", "22-24"),
            )
        ),
    ),
    *wordings(
        "header_marked_invalid",
        "validation",
        "A header is or follows one that was found invalid before.",
        *(
            (text, text.format(hash=HASH, word=HASH), versions)
            for text, versions in (
                ("AcceptBlockHeader: block {hash} is marked invalid", "25-31"),
                ("ERROR: AcceptBlockHeader: block {hash} is marked invalid", "22-24"),
                ("header {hash} has prev block invalid: {word}", "25-31"),
            )
        ),
    ),
    *wordings(
        "header_orphan",
        "validation",
        "A header whose predecessor is not known came as far as validation.",
        ("header {hash} has prev block not found: {word}", f"header {HASH} has prev block not found: {HASH}", "25-31"),
    ),
    *wordings(
        "header_low_work",
        "validation",
        "A header is not kept, as its chain has not shown enough work.",
        (
            "AcceptBlockHeader: not adding new block header {hash}, missing anti-dos proof-of-work validation",
            f"AcceptBlockHeader: not adding new block header {HASH}, missing anti-dos proof-of-work validation",
            "24-31",
        ),
    ),
    *wordings(
        "reorg_too_large",
        "net",
        "Blocks of another branch are not fetched at once; `value` is its height.",
        ("Large reorg, won't direct fetch to {hash} ({value})", f"Large reorg, won't direct fetch to {HASH} (9)", "22-31"),
    ),
    *wordings(
        "outbound_low_work",
        "none",
        "An outbound peer's chain has too little work.",
        (
            "Disconnecting outbound peer {peer} -- headers chain has insufficient work",
            "Disconnecting outbound peer 3 -- headers chain has insufficient work",
            "22-28",
        ),
        (
            "outbound peer headers chain has insufficient work, disconnecting peer={peer}",
            "outbound peer headers chain has insufficient work, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "outbound_old_chain",
        "none",
        "An outbound peer's chain fell behind.",
        (
            "Disconnecting outbound peer {peer} for old chain, best known block = {word}",
            f"Disconnecting outbound peer 3 for old chain, best known block = {HASH}",
            "22-28",
        ),
        (
            "Outbound peer has old chain, best known block = {word} disconnecting peer={peer}",
            f"Outbound peer has old chain, best known block = {HASH}, disconnecting peer=3",
            "29-31",
        ),
    ),
    *wordings(
        "outbound_tested",
        "net",
        "An outbound peer whose chain is behind is asked for headers, and disconnected if it has none.",
        (CURRENT.format("{peer}", "{word}", "{word}"), CURRENT.format(3, "<none>,", HASH), "22-31"),
    ),
    *wordings(
        "outbound_protected",
        "net",
        "An outbound peer with a good chain is never disconnected for a chain that is behind.",
        ("Protecting outbound peer={peer} from eviction", "Protecting outbound peer=3 from eviction", "22-31"),
    ),
    *wordings(
        "extra_block_relay_closed",
        "net",
        "The block-relay-only peer that sent a block longest ago makes room; `value` is when, in seconds since 1970.",
        (
            "disconnecting extra block-relay-only peer={peer} (last block received at time {value})",
            "disconnecting extra block-relay-only peer=3 (last block received at time 1764044911)",
            "22-31",
        ),
    ),
    *wordings(
        "extra_outbound_wanted",
        "net",
        "Whether one more outbound peer is looked for, as there was no block for long; `text` is true or false.",
        ("setting try another outbound peer={text}", "setting try another outbound peer=true", "23-31"),
        ("net: setting try another outbound peer={text}", "net: setting try another outbound peer=true", "22"),
    ),
    *wordings(
        "stalling_begun",
        "net",
        "The download of blocks waits for this peer.",
        ("Stall started peer={peer}", "Stall started peer=3", "22-31"),
    ),
    *wordings(
        "initial_download_over",
        "none",
        "The initial block download is over.",
        (
            "Leaving InitialBlockDownload (latching to false)",
            "Leaving InitialBlockDownload (latching to false)",
            "22-31",
        ),
    ),
)
