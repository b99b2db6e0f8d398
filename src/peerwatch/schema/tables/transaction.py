"""Transactions sent."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Transaction(Table):
    """One `tx` message that is whole and well formed, or has bytes behind its end. The body is not kept."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    txid: Annotated[bytes, c.hash32("Transaction id.")]
    wtxid: Annotated[bytes, c.hash32("Id with witness (BIP 141); the same as txid where there is none.")]
    txid_item: Annotated[int, Column("The txid as `item` in `inventory`.", pa.uint64(), Semantic.HASH)]
    wtxid_item: Annotated[int, Column("The wtxid as `item` in `inventory`.", pa.uint64(), Semantic.HASH)]
    version: Annotated[int, Column("Version.", pa.uint32(), Semantic.NUMBER, untrusted=True)]
    inputs: Annotated[int, c.count("Inputs.", pa.int32())]
    outputs: Annotated[int, c.count("Outputs.", pa.int32())]
    weight: Annotated[int, Column("Weight (BIP 141).", pa.int32(), Semantic.NUMBER, unit="WU", untrusted=True)]
    witness: Annotated[int, c.octets("Bytes of its witness, marker and flag included; 0 where there is none.", pa.int32())]
    lock_time: Annotated[int, Column("Lock time.", pa.uint32(), Semantic.NUMBER, untrusted=True)]
