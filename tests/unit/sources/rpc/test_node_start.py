"""When a node was started."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc.node_start import Moment, NodeStart, started_utc

UTC = 1_760_000_000 * SECOND
SECONDS = st.floats(0, 100, allow_subnormal=False)


class Node:
    """A node and our clocks; its uptime follows its wall clock (before v31) or the monotonic one."""

    def __init__(self, *, steady: bool) -> None:
        """It starts."""
        self.steady = steady
        self.now = 1000.0
        self.wall = 0.0
        self.start = NodeStart()
        self.begin()

    def begin(self) -> None:
        """Start, again."""
        self.begun = self.now if self.steady else self.now + self.wall

    def uptime(self) -> int:
        """Seconds, as Core counts them."""
        return int(self.now - self.begun) if self.steady else int(self.now + self.wall) - int(self.begun)

    def moment(self) -> Moment:
        """Our clocks."""
        return Moment(int(self.now * SECOND), UTC + int((self.now + self.wall) * SECOND))

    def ask(self, before: float = 0.0, after: float = 0.0) -> bool:
        """Ask; the answer is made and comes so much later."""
        asked = self.moment()
        self.now += before
        uptime = self.uptime()
        self.now += after
        return self.start.update(uptime, asked, self.moment())


@given(st.booleans(), st.lists(st.tuples(SECONDS, st.floats(0, 20), st.floats(0, 20), st.floats(-5000, 5000)), max_size=20))
def test_a_node_that_goes_on_is_the_same(steady: bool, steps: list[tuple[float, float, float, float]]) -> None:  # noqa: FBT001
    """Whatever time passes, however late answers are, and wherever the wall clock is set to."""
    node = Node(steady=steady)
    assert not node.ask()
    for passed, before, after, wall in steps:
        node.now += passed
        node.wall = wall if passed > 50 else node.wall
        assert not node.ask(before, after)


@given(st.booleans(), st.floats(3.1, 1e6), st.floats(0, 1000), st.floats(0, 20))
def test_a_node_that_was_started_again_is_another(steady: bool, ran: float, away: float, late: float) -> None:  # noqa: FBT001
    """If it ran for three seconds before, and longer if answers are late."""
    node = Node(steady=steady)
    node.ask()
    node.now += ran + late
    node.ask()
    node.now += away
    node.begin()
    node.now += 0.1
    assert node.ask(late, late)
    assert not node.ask()


def test_the_start_is_now_less_the_uptime() -> None:
    """In ns UTC."""
    assert started_utc(60, Moment(5 * SECOND, UTC)) == UTC - 60 * SECOND
