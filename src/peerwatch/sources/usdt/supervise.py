"""Tracer and watcher together: one process keeps the rights, another reads what comes from the network, and is started again
whenever it dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import encodings.ascii
import encodings.idna
import encodings.latin_1  # noqa: F401 - imported on first use otherwise, when the watcher's user may not be able to read them
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from peerwatch.sources.usdt.link import Link, LinkError, accept, connect, listen, pair
from peerwatch.sources.usdt.privileges import Account, PrivilegeError, drop, fork
from peerwatch.sources.usdt.tracer import Tracer

STOP_S = 30.0
"""How long a watcher may take to save what it has, once it was asked to stop."""
AGAIN_S = 1.0
"""A second signal is meant as one when it comes this long after the first."""
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
"""Pauses before a watcher is started again that recorded nothing: doubled each time, from the first to the longest."""

CRASHED = 70
"""Exit status of a watcher that raised; EX_SOFTWARE of sysexits.h."""
REFUSED = 77
"""Exit status of a watcher that could not give up its rights; EX_NOPERM of sysexits.h."""

PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def supervise(run_watcher: Callable[[Link], int], tracer: Tracer, account: Account | None, *, stop_s: float = STOP_S) -> int:
    """Trace, and keep a watcher running as `account` (None: as this user), without any rights.

    `run_watcher` is called in a forked process after all rights are gone. It should make SIGTERM end it in good order, must say
    `Recorded` when it has recorded something, and everything that it uses must have been imported before: its user may not be
    able to read the code. An exception in it, or a signal, has it started again: at once if it had recorded something, else after
    a growing pause. SIGTERM, SIGINT or SIGHUP here ask it to stop; a second one, or `stop_s` seconds, end it.

    Returns:
        What `run_watcher` returned, which ends it for good; `REFUSED` when its rights could not be given up; 128 and the signal
        if one ended it while stopping.
    """
    supervisor = _Supervisor(run_watcher, tracer, account, stop_s)
    with _stop_signals(supervisor.stop):
        try:
            return supervisor.run()
        finally:
            supervisor.end()
            tracer.close()


class _Supervisor:
    """The watcher's process as the tracer's sees it."""

    def __init__(self, run_watcher: Callable[[Link], int], tracer: Tracer, account: Account | None, stop_s: float) -> None:
        self._run_watcher = run_watcher
        self._tracer = tracer
        self._account = account
        self._stop_s = stop_s
        self._pid = 0
        self._pidfd = -1
        self._last_end = ""
        self._asked = 0
        self._asked_at = float("-inf")
        self._kill_at = float("inf")

    def stop(self) -> None:
        """Asked to stop; called from a signal handler. One wish may come as several signals, to the process and to its group."""
        now = time.monotonic()
        if now - self._asked_at >= AGAIN_S:
            self._asked += 1
            self._asked_at = now

    def run(self) -> int:
        """Until the watcher ends for good; its status."""
        self._tracer.start()
        start_at, told = 0.0, 0
        while True:
            if self._asked > told:
                told = self._asked
                if not self._pid:
                    return 0
                os.kill(self._pid, signal.SIGTERM if told == 1 else signal.SIGKILL)
                self._kill_at = time.monotonic() + self._stop_s
            if not self._pid and time.monotonic() >= start_at:
                self._spawn()
            if self._pid and time.monotonic() >= self._kill_at:
                self._tracer.say(f"the watcher has not saved within {self._stop_s:g} s and is ended")
                os.kill(self._pid, signal.SIGKILL)
                self._kill_at = float("inf")
            self._tracer.step()
            status = self._ended()
            if status is None:
                continue
            if self._asked or (status >= 0 and status != CRASHED):
                return status if status >= 0 else 128 - status
            start_at = time.monotonic() + self._pause(status)

    def end(self) -> None:
        """Leave no watcher behind."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._forget()

    def _pause(self, status: int) -> float:
        barren = self._tracer.barren
        pause = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(barren - 1, 16)) if barren else 0.0
        self._last_end = f"signal {-status}" if status < 0 else "an error"
        self._tracer.say(
            f"the watcher was ended by {self._last_end} and is started again" + (f" in {pause:g} s" if pause else "")
        )
        return pause

    def _ended(self) -> int | None:
        """How the watcher ended: its status, or a signal as a negative number; None while it runs."""
        if not self._pid:
            return None
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            return None
        self._forget()
        self._tracer.part()
        return os.waitstatus_to_exitcode(status)

    def _forget(self) -> None:
        self._pid = 0
        if self._pidfd >= 0:
            self._tracer.poller.off(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _spawn(self) -> None:
        ours, theirs = pair()
        parent = os.getpid()
        _flush()
        # A signal between the fork and the new handlers would go to the tracer's handlers, in the wrong process.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        self._pid = fork()
        if self._pid == 0:
            _be_watcher(self._run_watcher, theirs, self._account, parent, before, self._tracer.say)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        with contextlib.suppress(OSError):  # without one, its end is noticed at the next step
            self._pidfd = os.pidfd_open(self._pid)
            self._tracer.poller.on(self._pidfd, _nothing)
        self._tracer.admit(ours, self._last_end)


def serve(tracer: Tracer, path: Path, group: int | None = None) -> int:
    """Trace for a watcher that runs on its own and connects to the socket at `path`, until SIGTERM; see `link.listen`.

    Raises:
        LinkError: nothing can listen there.
    """
    asked: list[bool] = []
    listener = listen(path, group)

    def admit() -> None:
        try:
            if (sock := accept(listener, group)) is None:
                return
        except LinkError as error:
            tracer.say(str(error))
            return
        if tracer.serving:
            tracer.say("a second watcher was turned away")
            sock.close()
        else:
            tracer.admit(sock)

    with _stop_signals(lambda: asked.append(True)), listener:
        tracer.poller.on(listener.fileno(), admit)
        try:
            tracer.start()
            while not asked:
                tracer.step()
        finally:
            tracer.poller.off(listener.fileno())
            path.unlink(missing_ok=True)
            tracer.close()
    return 0


def watch(run_watcher: Callable[[Link], int], path: Path, account: Account | None, say: Callable[[str], None] = print) -> int:
    """Connect to a tracer that runs on its own, and run the watcher, in a child without rights; its status as `supervise` has it.

    What asks this process to stop is handed on to the watcher. An exception in the watcher is not made good here: the status is
    `CRASHED`, and whoever started this process starts it again.

    Raises:
        LinkError: there is no tracer, or none of ours.
    """
    sock = connect(path)
    parent = os.getpid()
    _flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    child = fork()  # libraries have started threads by now, and rights belong to threads
    if child == 0:
        _be_watcher(run_watcher, sock, account, parent, before, say)
    sock.close()
    with _stop_signals(lambda: os.kill(child, signal.SIGTERM)):
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


def _be_watcher(  # noqa: PLR0913, PLR0917 - all that a new process needs to know
    run_watcher: Callable[[Link], int],
    sock: socket.socket,
    account: Account | None,
    parent: int,
    mask: set[int | signal.Signals],
    say: Callable[[str], None],
) -> NoReturn:
    """A forked watcher from its first moment to its end."""
    status = CRASHED
    try:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.setsid()  # what a terminal sends goes to the parent, which asks in good order; and no way to type into that terminal
        os.umask(0o027)
        _close_all_but(sock.fileno())
        for sentence in drop(account):
            say(sentence)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
        if os.getppid() == parent:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            status = run_watcher(Link(sock))
    except PrivilegeError as error:
        say(str(error))
        status = REFUSED
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever it is, it is printed, and the watcher started again
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status)


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()


def _close_all_but(kept: int) -> None:
    """Keep standard output and error, and one more; read nothing from the terminal."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for name in Path("/proc/self/fd").iterdir():
        if (descriptor := int(name.name)) not in (0, 1, 2, kept):
            with contextlib.suppress(OSError):  # the one that this list was read through
                os.close(descriptor)


@contextlib.contextmanager
def _stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Have signals that ask for an end call `stop`, for a while."""
    before = {number: signal.signal(number, lambda *_: stop()) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _nothing() -> None:
    """For a descriptor that only has to end a wait."""
