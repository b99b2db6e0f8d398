"""Ten minutes of everything, again and again: in the end every account of every peer's messages is still the same."""

from __future__ import annotations

import sys
import time

import pytest

from tests.node.counts import SPELLED_OUT, as_logged, captured, counted_more, logged, only, refused
from tests.node.harness import Program, at_rest
from tests.node.stage import Stage, staged
from tests.node.watching import logged_sums, message_sums, opened

pytestmark = pytest.mark.node

SECONDS = 600.0


@pytest.mark.soak
def test_ten_minutes(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """Per peer, direction and type, what each source saw, what the log says and what the node counted agree at the end."""
    with staged(program) as stage:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            stage.play()
        at_rest(lambda: everything_agrees(stage))
        seen = message_sums(stage.watching, "capture", opened(stage.watching, "capture"))
        with capsys.disabled():
            sys.stdout.write(
                f"\n{stage.scene.rounds} rounds, {sum(n for n, _ in seen.values()):,} messages of "
                f"{len({address for address, _, _ in seen})} peers, {len({kind for _, _, kind in seen})} types, "
                f"{len(stage.watching.of('rpc_call')):,} calls, {len(stage.watching.of('log_event')):,} events of the log\n"
            )


def everything_agrees(stage: Stage) -> None:
    """Compare all accounts of the peers that are there, and the captured messages of all that ever were."""
    stage.watching.go_on(1.0)
    node, scene = stage.scene.node, stage.scene
    peers = node.peers()
    on_disk = captured(node)
    assert as_logged(only(on_disk, peers)) == logged(node, peers)
    for source in stage.message_sources:
        seen = message_sums(stage.watching, source, opened(stage.watching, source))
        assert seen == on_disk
        spelled_out = {(peer.name, True, "ping"): SPELLED_OUT * scene.rounds for peer in scene.staying if peer.cipher}
        assert counted_more(peers, only(seen, peers), refused(node)) == spelled_out
    assert only(logged_sums(stage.watching, peers), peers) == as_logged(only(on_disk, peers))
    assert stage.watching.gaps() == []
    assert stage.watching.of("loss") == stage.watching.told == []
