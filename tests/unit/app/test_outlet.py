"""Output that cannot hold up the watcher."""

from __future__ import annotations

import contextlib
import io
import os
import threading

from peerwatch.app.outlet import MOST_LINES, Outlet


class Stuck(io.StringIO):
    """A stream whose reader does not read until it is told to."""

    def __init__(self) -> None:
        """Stuck."""
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        """Wait."""
        self.go.wait()
        return super().write(text)


def test_texts_come_out_in_order() -> None:
    """All of them, by the time it is closed."""
    stream = io.StringIO()
    outlet = Outlet(stream)
    for number in range(500):
        outlet.write(f"{number}\n")
    outlet.close()
    assert stream.getvalue() == "".join(f"{number}\n" for number in range(500))


def test_a_stuck_reader_holds_up_nobody() -> None:
    """Writing goes on at once; what had to be dropped is counted when the reader goes on."""
    stream = Stuck()
    outlet = Outlet(stream)
    for _ in range(MOST_LINES + 100):
        outlet.write("x\n")
    stream.go.set()
    outlet.close()
    outlet.write("later\n")
    outlet.close()
    written = stream.getvalue()
    dropped = int(written.split("… ")[1].split()[0])
    assert written.count("x\n") + dropped == MOST_LINES + 100
    assert written.endswith("later\n")


def test_a_reader_that_is_gone_is_no_error() -> None:
    """A broken pipe ends the output, not the watcher."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", buffering=1)
    outlet = Outlet(stream)
    for _ in range(10):
        outlet.write("x\n")
    outlet.close()
    outlet.write("y\n")
    outlet.close()
    with contextlib.suppress(BrokenPipeError):
        stream.close()


def test_closing_what_was_never_used() -> None:
    """Needs no thread."""
    Outlet(io.StringIO()).close()
