"""One `poll` for everything that a single thread waits for."""

from __future__ import annotations

import select
from collections.abc import Callable


class Poller:
    """Calls something when a descriptor becomes readable."""

    def __init__(self) -> None:
        """Nothing is waited for."""
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    def on(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call `callback` from `wait` whenever a descriptor is readable, or its other end is gone."""
        self._poll.register(descriptor, select.POLLIN)
        self._callbacks[descriptor] = callback

    def also_writable(self, descriptor: int, *, wanted: bool) -> None:
        """Have `wait` return when a descriptor takes more, too."""
        self._poll.modify(descriptor, select.POLLIN | (select.POLLOUT if wanted else 0))

    def off(self, descriptor: int) -> None:
        """Wait for it no longer; to be called before it is closed. One that is not waited for is ignored."""
        if self._callbacks.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def wait(self, timeout_s: float) -> None:
        """Wait until something happens, at most for a time, and make the calls for it."""
        for descriptor, events in self._poll.poll(timeout_s * 1000):
            # An earlier call may have taken it off.
            if events & ~select.POLLOUT and (callback := self._callbacks.get(descriptor)):
                callback()
