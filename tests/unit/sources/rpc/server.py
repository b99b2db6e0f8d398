"""An RPC server like a node's, on loopback, that answers what a test says."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple


class Raw(NamedTuple):
    """An answer byte by byte."""

    status: int
    body: bytes = b""


def error(code: int) -> Raw:
    """An error of JSON-RPC, as Core gives it."""
    status = 404 if code == -32601 else 500
    return Raw(status, json.dumps({"result": None, "error": {"code": code, "message": "secret /home/alice"}, "id": 1}).encode())


class FakeNode:
    """The server, which can be stopped and started again on its port.

    `answers` maps a method to its result, a Raw, or a function that gives one of them.
    """

    def __init__(self, folder: Path) -> None:
        """Start, with a cookie in `folder`."""
        self.cookie = folder / ".cookie"
        self.answers: dict[str, Any] = {}
        self.calls: list[str] = []
        self.times: list[float] = []
        self.connections = 0
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self._sockets: list[socket.socket] = []
        self.begun = 0.0
        self.start()

    def start(self, cookie: str = "0123abcd") -> None:
        """Listen; write a cookie."""
        self.secret = f"__cookie__:{cookie}"
        self.begun = time.monotonic()
        self.answers["uptime"] = lambda: int(time.monotonic() - self.begun)
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        fresh = self.cookie.with_suffix(".tmp")
        fresh.write_text(self.secret)
        fresh.rename(self.cookie)

    def stop(self, *, remove_cookie: bool = True) -> None:
        """Be gone, connections and all."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.hang_up()
        if remove_cookie:
            self.cookie.unlink(missing_ok=True)

    def restart(self, cookie: str = "4567ef00") -> None:
        """Be another process."""
        self.stop()
        self.start(cookie)

    def hang_up(self) -> None:
        """Close the connections."""
        for each in self._sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._sockets.clear()

    def _handler(node) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                node.connections += 1
                node._sockets.append(self.connection)

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                wanted = "Basic " + base64.b64encode(node.secret.encode()).decode()
                if self.headers.get("Authorization") != wanted:
                    self._answer(Raw(401))
                    return
                node.calls.append(request["method"])
                node.times.append(time.monotonic())
                answer = node.answers.get(request["method"], error(-32601))
                if isinstance(answer, Callable):  # type: ignore[arg-type]
                    answer = answer()
                if not isinstance(answer, Raw):
                    answer = Raw(200, json.dumps({"result": answer, "error": None, "id": request["id"]}).encode())
                self._answer(answer)

            def _answer(self, answer: Raw) -> None:
                try:
                    self.send_response(answer.status)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:
                    self.close_connection = True

        return Handler
