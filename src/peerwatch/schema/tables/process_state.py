"""The node's process, every few seconds."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class ProcessState(Table):
    """The node's process, every few seconds; figures that grow are since its start."""

    level = Level.LIGHT
    is_state = True

    pid: Annotated[int, Column("Process id.", pa.int64(), Semantic.NUMBER)]
    cpu_user: Annotated[
        int | None, Column("Processor time in its own code.", pa.int64(), Semantic.DURATION, unit="ns", nullable=True)
    ]
    cpu_system: Annotated[
        int | None, Column("Processor time in the kernel.", pa.int64(), Semantic.DURATION, unit="ns", nullable=True)
    ]
    resident: Annotated[int | None, c.octets("Memory in RAM.", nullable=True)]
    anonymous: Annotated[int | None, c.octets("That of it which is no file's.", nullable=True)]
    swapped: Annotated[int | None, c.octets("Memory in swap.", nullable=True)]
    threads: Annotated[int | None, c.count("Threads.", nullable=True)]
    descriptors: Annotated[
        int | None, c.count("Open file descriptors; null where another user's are closed to us.", nullable=True)
    ]
    descriptors_most: Annotated[int | None, c.count("How many it may have.", nullable=True)]
    read: Annotated[int | None, c.octets("Bytes read from disk; null where closed to us.", nullable=True)]
    written: Annotated[int | None, c.octets("Bytes written to disk; null where closed to us.", nullable=True)]
    faults_major: Annotated[int | None, c.count("Page faults that had to be read from disk.", nullable=True)]
    switches_voluntary: Annotated[int | None, c.count("Context switches because a thread waited.", nullable=True)]
    switches_forced: Annotated[int | None, c.count("Context switches because its time was up.", nullable=True)]
    disk_free: Annotated[int | None, c.octets("Bytes free where its data directory is, where that is known.", nullable=True)]
