"""JSON-RPC calls of a node over HTTP.

One call at a time over one connection, which is kept. An answer is bounded in size and time. What goes wrong is one of a closed
set of errors, whose texts have neither the login nor anything that the other side said. Every call only reads, so one whose kept
connection turns out to be closed is made again.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event
from typing import Any

import httpx
import msgspec

from peerwatch.sources.rpc.errors import RpcError, Trouble
from peerwatch.sources.rpc.login import Credentials

MOST_BYTES = 64 << 20
"""Longest answer; 80,000 entries of the address manager take 25 MB."""
TIMEOUT_S = 30.0
CONNECT_S = 3.0
KEEP_S = 25.0
"""The node closes a connection that was idle for 30 s (-rpcservertimeout)."""

METHOD_NOT_FOUND, IN_WARMUP = -32601, -28
"""RPC_METHOD_NOT_FOUND and RPC_IN_WARMUP (src/rpc/protocol.h)."""

_HUNG_UP = ("Server disconnected", "peer closed")
"""Texts of httpx and h11 by which a broken connection is told from bytes that are no HTTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call gave."""

    result: bytes
    """The JSON of `result`."""
    size: int
    """Bytes of the whole answer."""
    asked: int
    answered: int
    """ns UTC of the request and of the last byte of the answer."""
    took: int
    """ns between the two, by the monotonic clock."""
    decoding: int
    """ns until `result` was found."""


class _Fault(msgspec.Struct):
    code: int = 0


class _Envelope(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Fault | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)


class RpcClient:
    """Calls of one node. See the module."""

    def __init__(
        self, host: str, port: int, credentials: Credentials, timeout_s: float = TIMEOUT_S, most_bytes: int = MOST_BYTES
    ) -> None:
        """Nothing is connected yet.

        Args:
            host: name or address; without TLS, so it should be this machine.
            port: its RPC port.
            credentials: the login.
            timeout_s: how long an answer may take, unless a call says otherwise.
            most_bytes: how long an answer may be.
        """
        self.credentials = credentials
        self.opened = 0
        """Connections made so far: as long as it is the same, so is the node."""
        self._url = httpx.URL(scheme="http", host=host, port=port, path="/")
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes
        self._closed = Event()
        self._socket: socket.socket | None = None
        self._http = httpx.Client(
            trust_env=False,  # no proxies, no .netrc
            verify=False,  # noqa: S501 - there is no TLS here; this keeps certificates from being loaded
            headers={"Accept-Encoding": "identity"},  # nothing that unpacks to more than was counted
            limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEP_S),
        )

    def __repr__(self) -> str:
        """Nothing of where and as whom."""
        return f"RpcClient({self.credentials!r})"

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed.is_set()

    def call(self, method: str, params: Sequence[Any] = (), timeout_s: float | None = None) -> Reply:
        """Make one call.

        Raises:
            RpcError: it gave nothing.
        """
        body = msgspec.json.encode({"id": "peerwatch", "method": method, "params": list(params)})
        limit = self._timeout_s if timeout_s is None else timeout_s
        for again in (False, True):
            opened = self.opened
            asked, start = time.time_ns(), time.monotonic_ns()
            try:
                status, answer = self._post(body, limit)
            except RpcError as error:
                if again or error.trouble is not Trouble.REFUSED or self.opened != opened or self.is_closed:
                    raise
                continue
            if status != HTTPStatus.UNAUTHORIZED or again or not self.credentials.renew():
                break
        answered, end = time.time_ns(), time.monotonic_ns()
        result = _result(method, status, answer, self.credentials)
        return Reply(result, len(answer), asked, answered, end - start, time.monotonic_ns() - end)

    def close(self) -> None:
        """Close the connection. A call that another thread waits for ends with an error."""
        self._closed.set()
        self._shut()
        self._http.close()

    def _post(self, body: bytes, limit_s: float) -> tuple[int, bytes]:
        header, start = self.credentials.header(), time.monotonic()
        request = self._http.build_request(
            "POST",
            self._url,
            content=body,
            headers={"Content-Type": "application/json", **({"Authorization": header} if header else {})},
            timeout=httpx.Timeout(limit_s, connect=min(CONNECT_S, limit_s)),
            extensions={"trace": self._trace},
        )
        try:
            with contextlib.closing(self._http.send(request, stream=True)) as response:
                return response.status_code, self._body(response, start + limit_s, limit_s)
        except httpx.ConnectTimeout:
            raise RpcError(Trouble.REFUSED, "Where the node should answer, nobody can be reached.") from None
        except httpx.TimeoutException:
            raise _late(limit_s) from None
        except httpx.RemoteProtocolError as error:
            if not str(error).startswith(_HUNG_UP):
                raise RpcError(Trouble.UNREADABLE, "What answers is no RPC server.") from None
            raise RpcError(Trouble.REFUSED, "The node closed the connection.") from None
        except (httpx.ReadError, httpx.WriteError):
            raise RpcError(Trouble.REFUSED, "The connection to the node broke.") from None
        except (httpx.HTTPError, RuntimeError):  # RuntimeError: it was closed in another thread
            raise RpcError(
                Trouble.REFUSED, "The node does not answer: it does not run, or its RPC server is elsewhere."
            ) from None

    def _body(self, response: httpx.Response, deadline: float, limit_s: float) -> bytes:
        parts, size = [], 0
        for part in response.iter_raw():
            size += len(part)
            if size > self._most_bytes:
                raise RpcError(Trouble.UNREADABLE, f"The answer is longer than {self._most_bytes >> 20} MiB.")
            if time.monotonic() > deadline:
                raise _late(limit_s)
            parts.append(part)
        return b"".join(parts)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore tells of its connection: the only way to one that another thread waits at."""
        if event == "connection.connect_tcp.complete":
            self.opened += 1
            self._socket = info["return_value"].get_extra_info("socket")
            if self.is_closed:
                self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _late(limit_s: float) -> RpcError:
    return RpcError(Trouble.TIMEOUT, f"The node did not answer within {limit_s:g} s.")


def _result(method: str, status: int, answer: bytes, credentials: Credentials) -> bytes:
    """The JSON of `result` in an answer."""
    if status == HTTPStatus.UNAUTHORIZED:
        raise RpcError(Trouble.UNAUTHORIZED, credentials.why)
    if status == HTTPStatus.FORBIDDEN:
        raise RpcError(Trouble.FORBIDDEN, f"The node does not let us call {method} (its rpcwhitelist or rpcallowip).")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise RpcError(Trouble.RPC, "The node has no time: its queue of RPC calls is full, or it is stopping.")
    try:
        envelope = _ENVELOPE.decode(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RpcError(Trouble.UNREADABLE, f"The answer to {method} is not JSON-RPC.") from None
    if envelope.error is not None:
        code = envelope.error.code
        if code == METHOD_NOT_FOUND:
            raise RpcError(Trouble.UNKNOWN, f"The node does not know {method}.")
        if code == IN_WARMUP:
            raise RpcError(Trouble.WARMING_UP, "The node is starting.")
        raise RpcError(Trouble.RPC, f"The node answers {method} with error {code}.")
    if status != HTTPStatus.OK:
        raise RpcError(Trouble.UNREADABLE, f"The answer to {method} has HTTP status {status}.")
    return bytes(envelope.result)
