"""The node itself: starts, warnings, its log (init.cpp, logging.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import Template

TEMPLATES = (
    Template(
        "node_started",
        "none",
        "Bitcoin Core version {text}",
        "The node was started; `text` is its version. Peers are numbered anew from here on.",
        "Bitcoin Core version v30.0.0 (release build)",
        "22-31",
    ),
    Template(
        "node_started",
        "none",
        "Bitcoin Knots version {text}",
        "The node was started; `text` is its version. Peers are numbered anew from here on.",
        "Bitcoin Knots version v29.4.3.knots20260508 (release build)",
        "22-31",
    ),
    Template(
        "node_stopping", "none", "Shutdown: In progress...", "The node is being stopped.", "Shutdown: In progress...", "22-31"
    ),
    Template("node_stopping", "none", "Shutdown in progress...", "The node is being stopped.", "Shutdown in progress...", "31"),
    Template("node_stopped", "none", "Shutdown: done", "The node has stopped.", "Shutdown: done", "22-30"),
    Template("node_stopped", "none", "Shutdown done", "The node has stopped.", "Shutdown done", "31"),
    Template(
        "log_suppressed",
        "none",
        "[warning] Excessive logging detected from {}: >{value} bytes logged during the last time window of "
        "{value2}s. Suppressing logging to disk from this source location until time window resets.{}",
        "Lines of one place in the code are no longer written; `value` is the limit in bytes, `value2` the time in seconds.",
        "[warning] Excessive logging detected from net.cpp:1 (f): >1048576 bytes logged during the last time window of 3600s. "
        "Suppressing logging to disk from this source location until time window resets. Console logging unaffected.",
        "30-31",
    ),
    Template(
        "log_resumed",
        "none",
        "[warning] Restarting logging from {}: {value} bytes were dropped during the last {value2}s.",
        "They are written again; `value` bytes were dropped in `value2` seconds.",
        "[warning] Restarting logging from net.cpp:1 (f): 5000 bytes were dropped during the last 3600s.",
        "30-31",
    ),
    Template(
        "warning", "none", "[warning] {text}", "A warning; `text` is it.", "[warning] Something is not as it should be", "28-31"
    ),
    Template("error", "none", "[error] {text}", "An error; `text` is it.", "[error] Something went wrong", "28-31"),
    Template(
        "disk_full",
        "none",
        "*** Disk space is too low!{}",
        "The node ends because its disk is full.",
        "*** Disk space is too low!",
        "22-27",
    ),
)
