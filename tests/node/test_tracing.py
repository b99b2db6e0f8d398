"""Tracing for the tests of a node, tried on the tracepoint player: a node that has tracepoints is rare where tests run."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kernel.conftest import BUILT
from tests.node.tracing import NotTraceableError, TracedNode
from tests.node.watching import NAME, Watching, opened

pytestmark = pytest.mark.kernel


def test_every_message_of_a_process_is_seen(tmp_path: Path) -> None:
    """As many as it says that it fired, numbered without gaps, each with the address of its peer."""
    binary = Path(shutil.copy2(BUILT / "peerwatch-player", tmp_path / "node"))
    command = [str(binary), f"--name={NAME}", "--wait-attached", "20", "--load", "2000", "--rate", "4000"]
    with Watching(TracedNode(binary, NAME, f"--name={NAME}")) as watching:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            watching.until(lambda: watching.of("node", event="exited"), "the end of the player")
            said, _ = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        fired = json.loads(said.splitlines()[-1])["fired"]
        seen = [chunk.messages for session in watching.sessions.values() for chunk in session.messages]
        assert sum(map(len, seen)) == fired["net:inbound_message"] + fired["net:outbound_message"] == 2000
        assert {peer for messages in seen for peer in messages.peer.tolist()} <= opened(watching, "usdt").keys()
        assert watching.gaps() == []


def test_a_binary_without_tracepoints_is_refused() -> None:
    """It is said why, for the test that is skipped."""
    with pytest.raises(NotTraceableError, match="without tracepoints"):
        TracedNode(Path("/bin/true"), NAME)
