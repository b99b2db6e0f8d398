"""Events in columns."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.sources.simulation.events import NUMBER, Events, Name, Script, Window, compacted, messages, ordered, probes
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.wire.raw import PAD
from tests.unit.sources.simulation.seen import Message, apart, column


def pings(times: list[int]) -> Events:
    return messages(column(times), column([7] * len(times)), True, "ping", Pieces.of_bytes([bytes([t]) * 8 for t in times]))


def test_messages_say_who_sent_what_to_whom() -> None:
    """A mask of directions gives the two probes; type, peer and payload are as given."""
    made = messages(column([5, 6]), column([1, -2]), np.array([True, False]), "feefilter", Pieces.of_bytes([b"ab", b""]))

    assert apart([made]).messages == [Message(5, 1, True, "feefilter", b"ab"), Message(6, -2, False, "feefilter", b"")]
    assert made.head["size"].tolist() == made.head["kept"].tolist() == [2, 0]


def test_other_probes_carry_their_arguments() -> None:
    """Arguments by name, hashes as rows of bytes; the record's header has the peer where the probe has one."""
    made = probes("mempool:added", column([9]), {"txid": np.full((1, 32), 3, np.uint8), "vsize": 140, "fee": 7})
    closed = probes("net:misbehaving_connection", column([9]), {"peer": column([4]), "reason": b"why"})

    assert apart([made]).others[0].args == {"txid": b"\3" * 32, "vsize": 140, "fee": 7}
    assert closed.head["peer"].tolist() == [4]
    with pytest.raises(ValueError, match="no field"):
        probes("mempool:added", column([9]), {"height": 3})


def test_ordering_is_by_time_and_stable() -> None:
    """Events of one moment stay in their order, and there is room behind the last payload."""
    late, early = pings([8, 3]), pings([3])
    made = ordered(Events.joined([late, early]))

    assert [m.ts for m in apart([made]).messages] == [3, 3, 8]
    assert [m.body[0] for m in apart([made]).messages] == [3, 3, 8]
    assert not made.bodies.buf[-PAD:].any()
    assert len(Events.joined([]).bodies.buf) == PAD


def test_a_window_splits_at_a_time() -> None:
    """What is before goes left, what is at or after it right, and both keep the names."""
    window = Window(pings([1, 2, 3]), 10, {7: Name(b"a", b"inbound")})
    first, rest = window.split(2)

    assert [m.ts for m in apart([first.events]).messages] == [1]
    assert [m.ts for m in apart([rest.events]).messages] == [2, 3]
    assert (first.end, rest.end, rest.names) == (2, 10, window.names)


def test_compacting_forgets_other_events() -> None:
    """What is kept of a window does not hold on to all its bytes."""
    assert compacted(pings([1, 2, 3]).take(slice(1, 2))).bodies.buf.tobytes() == b"\2" * 8


def test_a_script_is_written_line_by_line() -> None:
    """Messages come as said, in that order; an empty script is no event."""
    script = Script()
    script.say(4.9, 1, False, "verack")
    script.say(2, 3, True, "ping", b"12345678")

    assert apart([script.events()]).messages == [Message(4, 1, False, "verack", b""), Message(2, 3, True, "ping", b"12345678")]
    assert len(Script().events()) == 0
    assert NUMBER["net:inbound_message"] == 0
