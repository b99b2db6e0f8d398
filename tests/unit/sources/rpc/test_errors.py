"""What can go wrong when a node is asked."""

from __future__ import annotations

from peerwatch.schema.tables.rpc_call import RpcCall
from peerwatch.sources.rpc.errors import FOR_GOOD, OUT_OF_REACH, RpcError, Trouble


def test_the_table_names_every_trouble() -> None:
    """The values of the column are those that its doc says, and no others."""
    doc = RpcCall.columns["error"].doc
    assert set(doc.partition(":")[2].strip(" .").replace(" or ", ", ").split(", ")) == {each.value for each in Trouble}


def test_no_trouble_is_of_every_call_and_for_good() -> None:
    """What stays while the node runs is of one method only: otherwise its return would not be seen."""
    assert not OUT_OF_REACH & FOR_GOOD
    assert str(RpcError(Trouble.RPC, "No.")) == "No."
