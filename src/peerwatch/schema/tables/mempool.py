"""What enters and leaves the mempool."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Mempool(Table):
    """A transaction added to, removed from, replaced in or rejected by the node's mempool."""

    event: Annotated[str, c.label("added, removed, replaced or rejected.")]
    txid: Annotated[bytes, c.hash32("Transaction id.")]
    reason: Annotated[str | None, c.text("Why it was removed or rejected, in the node's words.", nullable=True, untrusted=True)]
    vsize: Annotated[int | None, Column("Virtual size.", pa.int32(), Semantic.BYTES, unit="vB", nullable=True)]
    fee: Annotated[int | None, Column("Fee.", pa.int64(), Semantic.AMOUNT, unit="sat", nullable=True)]
    entered: Annotated[int | None, c.time_ns("When the transaction had entered the mempool.", nullable=True)]
    replacement: Annotated[
        bytes | None, c.hash32("Id of what replaced it: a transaction, or the hash of a package.", nullable=True)
    ]
    replacement_vsize: Annotated[
        int | None, Column("Virtual size of what replaced it.", pa.int32(), Semantic.BYTES, unit="vB", nullable=True)
    ]
    replacement_fee: Annotated[
        int | None, Column("Fee of what replaced it.", pa.int64(), Semantic.AMOUNT, unit="sat", nullable=True)
    ]
    by_transaction: Annotated[bool | None, c.flag("True when one transaction replaced it, false for a package.", nullable=True)]
