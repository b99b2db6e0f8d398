"""The chain: how far it is, and how many transactions are in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peerwatch.schema.table import Table
from peerwatch.schema.tables.chain_rate import ChainRate
from peerwatch.schema.tables.chain_state import ChainState
from peerwatch.sources.gathered import Rows
from peerwatch.sources.rpc._api import Answer, Known, Request
from peerwatch.sources.rpc.fields import Field, Fields, count, flag, hash32, number, optional, read_object, warnings

INFO, RATE = "getblockchaininfo", "getchaintxstats"

STATE = {
    "blocks": Field("blocks", count),
    "headers": Field("headers", count),
    "best_block": Field("bestblockhash", hash32),
    "median_time": Field("mediantime", count),
    "progress": Field("verificationprogress", number),
    "initial_download": Field("initialblockdownload", flag),
    "disk": Field("size_on_disk", count),
    "pruned": Field("pruned", flag),
    "warnings": Field("warnings", warnings),
}
RATES = {
    # Core leaves out what it cannot know: before the second block, and behind a snapshot of the chain state.
    "transactions": optional("txcount", count),
    "window_blocks": Field("window_block_count", count),
    "window_transactions": optional("window_tx_count", count),
    "window": optional("window_interval", count),
    "rate": optional("txrate", number),
}


class Chain:
    """Makes `chain_state` of `getblockchaininfo` and `chain_rate` of `getchaintxstats`."""

    requests: Sequence[Request] = (Request(INFO, 60.0), Request(RATE, 300.0))
    tables: Sequence[type[Table]] = (ChainState, ChainRate)

    def __init__(self, known: Known) -> None:
        """Nothing was read yet."""
        self._info = Fields(INFO, known)
        self._rate = Fields(RATE, known)

    def read(self, answer: Answer) -> Iterable[Rows]:
        """A row; `Reader` says what is raised."""
        objects = [read_object(answer.result)]
        if answer.method == RATE:
            return [(ChainRate, {"ts": [answer.answered], **self._rate.columns(objects, RATES)})]
        return [(ChainState, {"ts": [answer.answered], **self._info.columns(objects, STATE)})]

    def lacking(self) -> Sequence[str]:
        """Fields that were missing."""
        return [*self._info.lacking(), *self._rate.lacking()]
