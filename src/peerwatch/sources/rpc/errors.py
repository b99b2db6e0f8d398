"""What can go wrong when a node is asked."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """Why a call gave nothing; the values of `rpc_call.error`."""

    REFUSED = "refused"
    """Nobody answers there, or the connection broke."""
    TIMEOUT = "timeout"
    """No whole answer in time."""
    UNAUTHORIZED = "unauthorized"
    """The login is wrong (HTTP 401)."""
    FORBIDDEN = "forbidden"
    """The login may not make this call (HTTP 403, `rpcwhitelist`), or nobody may from here (`rpcallowip`)."""
    UNKNOWN = "unknown"
    """The node has no such method (RPC_METHOD_NOT_FOUND)."""
    WARMING_UP = "warming_up"
    """The node is starting (RPC_IN_WARMUP)."""
    UNREADABLE = "unreadable"
    """What came is not what such a call gives, or too much."""
    RPC = "rpc"
    """Any other error of the node."""


OUT_OF_REACH = frozenset({Trouble.REFUSED, Trouble.UNAUTHORIZED, Trouble.WARMING_UP})
"""Troubles of every call, whatever the method."""

FOR_GOOD = frozenset({Trouble.FORBIDDEN, Trouble.UNKNOWN})
"""Troubles that stay for as long as the node runs: its configuration and its program are read at the start."""


class RpcError(Exception):
    """A call gave nothing.

    The text is one sentence for an operator. It has nothing that the other side said, and neither login nor address.
    """

    def __init__(self, trouble: Trouble, reason: str) -> None:
        """`reason` is the sentence."""
        super().__init__(reason)
        self.trouble = trouble
        self.reason = reason
