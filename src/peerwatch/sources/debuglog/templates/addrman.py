"""The address manager (addrman.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import Template

TEMPLATES = (
    Template(
        "addrman_added",
        "addrman",
        "Added {address} to new[{value}][{value2}]",
        "An address came into the new table; `value` is the bucket, `value2` the place in it.",
        "Added 192.0.2.7:8333 to new[610][46]",
        "25-31",
    ),
    Template(
        "addrman_added",
        "addrman",
        "Added {address} mapped to AS{} to new[{value}][{value2}]",
        "An address came into the new table; `value` is the bucket, `value2` the place in it.",
        "Added 192.0.2.7:8333 mapped to AS64496 to new[610][46]",
        "25-31",
    ),
    Template(
        "addrman_added_from",
        "addrman",
        "Added {value} addresses (of {value2}) from {address}: {} tried, {} new",
        "Of `value2` addresses of a peer, `value` were added.",
        "Added 5 addresses (of 10) from 192.0.2.1: 3 tried, 100 new",
        "22-31",
    ),
    Template(
        "addrman_promoted",
        "addrman",
        "Moved {address} to tried[{value}][{value2}]",
        "An address came into the tried table; `value` is the bucket, `value2` the place in it.",
        "Moved 192.0.2.7:8333 to tried[135][40]",
        "25-31",
    ),
    Template(
        "addrman_promoted",
        "addrman",
        "Moved {address} mapped to AS{} to tried[{value}][{value2}]",
        "An address came into the tried table; `value` is the bucket, `value2` the place in it.",
        "Moved 192.0.2.7:8333 mapped to AS64496 to tried[135][40]",
        "25-31",
    ),
    Template(
        "addrman_thrown_back",
        "addrman",
        "Moved {address} from tried[{}][{}] to new[{value}][{value2}] to make space",
        "An address was thrown back out of the tried table; `value` is its bucket in the new one.",
        "Moved 192.0.2.7:8333 from tried[1][2] to new[3][4] to make space",
        "25-31",
    ),
    Template(
        "addrman_removed",
        "addrman",
        "Removed {address} from new[{value}][{value2}]",
        "An address was pushed out of the new table.",
        "Removed 192.0.2.7:8333 from new[610][46]",
        "25-31",
    ),
    Template(
        "addrman_collision",
        "addrman",
        "Collision with {address} while attempting to move {text} to tried table. Collisions={value}",
        "An address would take the place of another in the tried table; `text` is the newcomer.",
        "Collision with 192.0.2.7:8333 while attempting to move 192.0.2.8:8333 to tried table. Collisions=1",
        "22-31",
    ),
    Template(
        "addrman_replaced",
        "addrman",
        "Replacing {address} with {text} in tried table",
        "The old address failed its test; `text` is the new one.",
        "Replacing 192.0.2.7:8333 with 192.0.2.8:8333 in tried table",
        "22-31",
    ),
    Template(
        "addrman_replaced_untested",
        "addrman",
        "Unable to test; replacing {address} with {text} in tried table anyway",
        "The old address could not be tested in time; `text` is the new one.",
        "Unable to test; replacing 192.0.2.7:8333 with 192.0.2.8:8333 in tried table anyway",
        "22-31",
    ),
    Template(
        "addrman_selected",
        "addrman",
        "Selected {address} from {text}",
        "An address was chosen for a connection; `text` is its table.",
        "Selected 192.0.2.7:8333 from new",
        "24-31",
    ),
    Template(
        "addrman_getaddr",
        "addrman",
        "GetAddr returned {value} random addresses",
        "Addresses were drawn for an answer or a connection; `value` is how many.",
        "GetAddr returned 17 random addresses",
        "22-31",
    ),
)
