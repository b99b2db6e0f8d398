"""A kind of thread of the node's process, every few seconds."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class ThreadState(Table):
    """A kind of thread of the node's process, every few seconds; threads of one name are added up."""

    level = Level.LIGHT
    is_state = True

    pid: Annotated[int, Column("Process id.", pa.int64(), Semantic.NUMBER)]
    thread: Annotated[str, c.label("Name of the thread without `b-`, such as msghand or net; other for names that Core has not.")]
    threads: Annotated[int, c.count("Threads of that name.")]
    cpu_user: Annotated[
        int | None, Column("Processor time in its own code.", pa.int64(), Semantic.DURATION, unit="ns", nullable=True)
    ]
    cpu_system: Annotated[
        int | None, Column("Processor time in the kernel.", pa.int64(), Semantic.DURATION, unit="ns", nullable=True)
    ]
    waited: Annotated[
        int | None,
        Column("Time that it could have run and no processor was free.", pa.int64(), Semantic.DURATION, unit="ns", nullable=True),
    ]
    switches_voluntary: Annotated[int | None, c.count("Context switches because it waited.", nullable=True)]
    switches_forced: Annotated[int | None, c.count("Context switches because its time was up.", nullable=True)]
