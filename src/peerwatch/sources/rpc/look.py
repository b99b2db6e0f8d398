"""Asking a node: calls at their intervals, their answers made rows by readers, and what each call cost.

A node that was started again numbers its peers anew, so rows must not come under the wrong session. `uptime` tells, but only
when it is asked. So whenever the connection is not the one on which `uptime` was asked last, it is asked before an answer is
read. Where `uptime` may not be called, a node that was gone for a while is taken for one that was started again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Table
from peerwatch.schema.tables.rpc_call import RpcCall
from peerwatch.sources.gathered import Gathered
from peerwatch.sources.rpc._api import Answer, Known, Reader, Request
from peerwatch.sources.rpc.client import Reply, RpcClient
from peerwatch.sources.rpc.errors import FOR_GOOD, OUT_OF_REACH, RpcError, Trouble
from peerwatch.sources.rpc.fields import count, read_object, read_seconds
from peerwatch.sources.rpc.login import Credentials, Login
from peerwatch.sources.rpc.node_start import Moment, NodeStart, started_utc
from peerwatch.sources.rpc.registry import UPTIME, make_readers, tables
from peerwatch.sources.rpc.schedule import Schedule

NETWORK = "getnetworkinfo"
"""The first call of a session: it has the node's version."""
UPTIME_S = 5.0
"""How long `uptime` may take: it waits for no lock."""
FIRST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_WARMUP_S = 1.0, 30.0, 5.0
"""Pauses between calls while the node is out of reach or is starting; each is twice as long as the one before."""
MOST_FIELDS = 50
"""Fields that are named in one sentence."""
WATCH_S = 1.0
"""How often it is seen, meanwhile, whether there is a new cookie: then it is back."""


class RpcLook:
    """One node's RPC server. See the module; `sources.look.Look` says what the methods promise."""

    name = "rpc"
    tables: Sequence[type[Table]] = (*tables(), RpcCall)
    blocks = True

    def __init__(
        self,
        end: tuple[str, int],
        login: Login,
        known: Callable[[], Known],
        every: Mapping[str, float] | None = None,
        make: Callable[[Known], Sequence[Reader]] = make_readers,
    ) -> None:
        """Ask a node.

        Args:
            end: host and port of its RPC server; without TLS, so it should be on this machine.
            login: where the login stands.
            known: what is known of the node, made anew for each of its sessions.
            every: seconds from one call to the next, by method; 0 for never.
            make: makes its readers.
        """
        self._credentials = Credentials(login)
        self._client = RpcClient(*end, self._credentials)
        self._make_known = known
        self._every = every or {}
        self._make = make
        self._start = NodeStart()
        self._pause_s = 0.0
        """Pause before the next try; 0 while the node is in reach."""
        self._retry = 0
        self._begin()

    def look(self, rows: Gathered) -> float:
        """Make the call that is due, if any."""
        now = time.monotonic_ns()
        if self._pause_s:
            if now < self._retry and not self._credentials.is_another():
                return min(WATCH_S, (self._retry - now) / SECOND)
            request: Request | None = self._schedule.request(UPTIME.method) or self._schedule.request(NETWORK) or UPTIME
        else:
            request = self._schedule.due(now)
        if request is not None:
            self._ask(request, rows)
        return min(WATCH_S, self._pause_s) if self._pause_s else self._schedule.wait_s(time.monotonic_ns())

    def close(self) -> None:
        """End a call that is under way, and the connection."""
        self._client.close()

    def _begin(self) -> None:
        """A session: readers know nothing, and everything is asked."""
        self._known = self._make_known()
        self._readers = self._make(self._known)
        self._schedule = Schedule(self._requests(), self._every, time.monotonic_ns())
        self._checked = 0
        """The connection on which `uptime` was asked last."""
        self._gone = False
        """Whether nobody answered at some time of this session."""
        self._said: set[str] = set()
        """Fields that answers of this session lack."""

    def _requests(self) -> list[Request]:
        wanted = [UPTIME, *(request for reader in self._readers for request in reader.requests)]
        return sorted(wanted, key=lambda request: (request.method != NETWORK, request.method != UPTIME.method, request.every_s))

    def _ask(self, request: Request, rows: Gathered) -> None:
        """Make one call, and see that its answer comes from the node that the session is of."""
        method = request.method
        if self._known.version and request.since > self._known.version:
            self._schedule.drop(method)
            rows.unseen(f"rpc.{method}", f"The node ({_version(self._known.version)}) does not know {method}.", time.time_ns())
            return
        reply = self._call(request, rows)
        if reply is None:
            return
        if method == UPTIME.method:
            self._take_uptime(reply, rows)
            self._in_reach(rows)
            return
        self._in_reach(rows)
        schedule = self._schedule
        if self._client.opened == self._checked or self._is_same_node(rows):
            self._read(method, reply, rows)
        else:  # another node's, or it cannot be said whose; a new session asks again anyway
            schedule.failed(method, reply.took, time.monotonic_ns())
            _add_call(method, reply, rows, rows=0, decoding=reply.decoding, error=None)

    def _call(self, request: Request, rows: Gathered) -> Reply | None:
        """Make a call; what goes wrong is told."""
        method, start = request.method, time.monotonic_ns()
        try:
            return self._client.call(method, request.params, UPTIME_S if method == UPTIME.method else None)
        except RpcError as error:
            took = time.monotonic_ns() - start
            if not self._client.is_closed:
                self._fail(method, error, took, rows)
            return None

    def _fail(self, method: str, error: RpcError, took: int, rows: Gathered) -> None:
        ts, now = time.time_ns(), time.monotonic_ns()
        rows.add(RpcCall, ts, method=method, duration=took, decoding=0, bytes=0, rows=0, error=error.trouble.value)
        late = error.trouble is Trouble.TIMEOUT
        if error.trouble in OUT_OF_REACH or (late and (method == UPTIME.method or self._pause_s)):
            self._gone = self._gone or error.trouble is Trouble.REFUSED
            longest = LONGEST_WARMUP_S if error.trouble is Trouble.WARMING_UP else LONGEST_PAUSE_S
            self._pause_s = min(2 * self._pause_s, longest) if self._pause_s else FIRST_PAUSE_S
            self._retry = now + int(self._pause_s * SECOND)
            rows.unseen(self.name, error.reason, ts)
            return
        self._schedule.failed(method, took, now)
        if error.trouble in FOR_GOOD:
            self._schedule.drop(method)
        elif method != UPTIME.method:
            self._schedule.hurry(UPTIME.method, now)
        rows.unseen(f"rpc.{method}", error.reason, ts)
        if not late:
            self._in_reach(rows)

    def _in_reach(self, rows: Gathered) -> None:
        """Somebody answered who may be asked more."""
        if self._pause_s:
            self._pause_s = 0.0
            self._schedule.resume(time.monotonic_ns())
            rows.seen(self.name, time.time_ns())

    def _is_same_node(self, rows: Gathered) -> bool:
        """Ask `uptime` because the connection is a new one. Returns whether an answer that came on it belongs to the session."""
        request = self._schedule.request(UPTIME.method)
        if request is None:  # it may not be asked
            restarted = self._gone and self._checked > 0
            if restarted:
                self._restart(time.time_ns(), rows)
            self._checked = self._client.opened
            return not restarted
        reply = self._call(request, rows)
        if reply is None:
            return self._schedule.request(UPTIME.method) is None and self._is_same_node(rows)
        return self._take_uptime(reply, rows)

    def _take_uptime(self, reply: Reply, rows: Gathered) -> bool:
        """Read an answer of `uptime`. Returns whether the node is the same."""
        restarted, started = False, None
        try:
            uptime_s = read_seconds(reply.result)
        except msgspec.MsgspecError:
            self._unreadable(UPTIME.method, reply, rows, "no number")
        else:
            answered = Moment(time.monotonic_ns(), reply.answered)
            asked = Moment(answered.monotonic - reply.took - reply.decoding, reply.asked)
            started = started_utc(uptime_s, answered)
            restarted = self._start.update(uptime_s, asked, answered)
            if restarted:
                self._restart(started, rows)
            if self._known.started is None:
                self._known.started = started
            self._tell(UPTIME.method, reply, rows)
            rows.seen(f"rpc.{UPTIME.method}", reply.answered)
        self._checked = self._client.opened
        return not restarted

    def _restart(self, started: int, rows: Gathered) -> None:
        rows.restart(started)
        self._begin()

    def _read(self, method: str, reply: Reply, rows: Gathered) -> None:
        """Have an answer read by those who want it."""
        begun, made, failed = time.monotonic_ns(), 0, ""
        answer = Answer(method, reply.result, reply.asked, reply.answered)
        if method == NETWORK and not self._known.version:
            self._known.version = _version_in(reply.result)
        for reader in self._readers:
            if not any(each.method == method for each in reader.requests):
                continue
            try:
                for table_rows in reader.read(answer):
                    rows.add_rows(table_rows)
                    made += len(table_rows[1]["ts"])
            except Exception as error:  # noqa: BLE001 - mostly msgspec's; whatever one stumbles over, the others must go on
                failed = type(error).__name__
        if failed:
            self._unreadable(method, reply, rows, failed)
            return
        self._tell(method, reply, rows, made, time.monotonic_ns() - begun)
        rows.seen(f"rpc.{method}", reply.answered)
        self._tell_lacking(method, reply, rows)

    def _tell(self, method: str, reply: Reply, rows: Gathered, made: int = 0, reading: int = 0) -> None:
        """A call was answered."""
        _add_call(method, reply, rows, rows=made, decoding=reply.decoding + reading, error=None)
        self._schedule.answered(method, reply.took, time.monotonic_ns())

    def _unreadable(self, method: str, reply: Reply, rows: Gathered, why: str) -> None:
        _add_call(method, reply, rows, rows=0, decoding=reply.decoding, error=Trouble.UNREADABLE.value)
        self._schedule.failed(method, reply.took, time.monotonic_ns())
        rows.unseen(f"rpc.{method}", f"The answer to {method} is not what such a call gives ({why}).", reply.answered)

    def _tell_lacking(self, method: str, reply: Reply, rows: Gathered) -> None:
        """Fields that answers to a method lack, once in a session."""
        lacking = {name for reader in self._readers for name in reader.lacking() if name.partition(".")[0] == method}
        if new := sorted(lacking - self._said)[:MOST_FIELDS]:
            self._said.update(new)
            fields = ", ".join(name.partition(".")[2] for name in new)
            why = f"Answers of the node ({_version(self._known.version)}) to {method} lack {fields}, or have it otherwise."
            rows.loss("blind", f"rpc.{method}", why, (reply.asked, reply.answered))


def _add_call(method: str, reply: Reply, gathered: Gathered, **values: int | str | None) -> None:
    """A row about a call that was answered."""
    gathered.add(RpcCall, reply.answered, method=method, duration=reply.took, bytes=reply.size, **values)


def _version_in(result: bytes) -> int:
    """The version of the node in an answer of `getnetworkinfo`; 0 if it has none."""
    try:
        return count(read_object(result).get("version")) or 0
    except ValueError:  # msgspec's errors are such
        return 0


def _version(version: int) -> str:
    """A version as people write it: 290300 is v29.3."""
    return f"v{version // 10_000}.{version // 100 % 100}" if version else "of unknown version"
