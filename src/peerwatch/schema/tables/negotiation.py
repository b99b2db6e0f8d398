"""What the two sides of a connection agree on."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class Negotiation(Table):
    """One `sendcmpct`, `feefilter` or `sendtxrcncl`: a setting of its sender, with its values."""

    peer: Annotated[int, c.PEER]
    inbound: Annotated[bool, c.INBOUND]
    message: Annotated[str, c.label("sendcmpct, feefilter or sendtxrcncl.")]
    high_bandwidth: Annotated[
        bool | None,
        c.flag("`sendcmpct`: whether compact blocks are wanted unasked (BIP 152).", nullable=True, untrusted=True),
    ]
    version: Annotated[
        int | None,
        Column(
            "Version of compact blocks, or of reconciliation (BIP 330).",
            pa.uint64(),
            Semantic.NUMBER,
            nullable=True,
            untrusted=True,
        ),
    ]
    fee_rate: Annotated[
        int | None,
        Column(
            "`feefilter`: transactions below are not wanted (BIP 133).",
            pa.int64(),
            Semantic.AMOUNT,
            unit="sat/kvB",
            nullable=True,
            untrusted=True,
        ),
    ]
    salt: Annotated[
        int | None, Column("`sendtxrcncl`: salt of the sender.", pa.uint64(), Semantic.NUMBER, nullable=True, untrusted=True)
    ]
