"""Blocks relayed, whole or in parts."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class BlockRelay(Table):
    """One `block`, `cmpctblock`, `merkleblock`, `getblocktxn` or `blocktxn`. Bodies are not kept."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    message: Annotated[str, c.label("block, cmpctblock, merkleblock, getblocktxn or blocktxn.")]
    hash: Annotated[bytes, c.hash32("Hash of the block.")]
    version: Annotated[int | None, Column("Version in the header.", pa.int32(), Semantic.NUMBER, nullable=True, untrusted=True)]
    previous: Annotated[bytes | None, c.hash32("Hash of the block before.", nullable=True)]
    merkle_root: Annotated[bytes | None, c.hash32("Merkle root in the header.", nullable=True)]
    time: Annotated[
        int | None, Column("Time in the header.", pa.uint32(), Semantic.TIME, unit="s", nullable=True, untrusted=True)
    ]
    bits: Annotated[
        int | None,
        Column("Target in the header, in compact form (nBits).", pa.uint32(), Semantic.NUMBER, nullable=True, untrusted=True),
    ]
    nonce: Annotated[int | None, Column("Nonce in the header.", pa.uint32(), Semantic.NUMBER, nullable=True, untrusted=True)]
    transactions: Annotated[
        int | None,
        c.count(
            "Transactions: of the block (block, cmpctblock, merkleblock), sent (blocktxn) or asked for (getblocktxn).",
            nullable=True,
        ),
    ]
    prefilled: Annotated[int | None, c.count("`cmpctblock`: transactions sent along whole.", nullable=True)]
    short_ids: Annotated[int | None, c.count("`cmpctblock`: transactions sent as short ids.", nullable=True)]
    hashes: Annotated[int | None, c.count("`merkleblock`: hashes of the partial Merkle tree.", nullable=True)]
    inputs: Annotated[
        int | None,
        c.count("Inputs of all transactions that were sent; null when they are not all there to be counted.", nullable=True),
    ]
    outputs: Annotated[int | None, c.count("Outputs of all transactions that were sent; as inputs.", nullable=True)]
    weight: Annotated[
        int | None,
        Column(
            "Weight (BIP 141) of the block, or of the transactions that were sent; as inputs.",
            pa.int64(),
            Semantic.NUMBER,
            unit="WU",
            nullable=True,
            untrusted=True,
        ),
    ]
