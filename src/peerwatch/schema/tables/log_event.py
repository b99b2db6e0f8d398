"""Lines of the node's log that are understood."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Table


class LogEvent(Table):
    """A line of `debug.log` that is understood.

    docs/reference/log.md says of each event what `value`, `value2`, `hash` and `text` are.
    """

    is_state = True

    event: Annotated[str, c.label("Which event it is; the names are those of the templates.")]
    category: Annotated[str, c.label("Category of the log, such as net or addrman; none for lines that are always written.")]
    peer: Annotated[
        int | None, Column("The node's own peer id, where the line has one.", pa.int64(), Semantic.PEER, nullable=True)
    ]
    address: Annotated[str | None, c.text("Address, or address and port, in the line.", nullable=True, untrusted=True)]
    hash: Annotated[bytes | None, c.hash32("Hash in the line: of a block, a transaction or a header.", nullable=True)]
    value: Annotated[int | None, Column("First number of the line.", pa.int64(), Semantic.NUMBER, nullable=True, untrusted=True)]
    value2: Annotated[
        int | None, Column("Second number of the line.", pa.int64(), Semantic.NUMBER, nullable=True, untrusted=True)
    ]
    text: Annotated[
        str | None,
        c.text("Text of the line, such as a reason; printable ASCII, at most 160 bytes.", nullable=True, untrusted=True),
    ]
