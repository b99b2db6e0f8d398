"""The configuration: what can be set, and how what is wrong is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from peerwatch.app.config import Config, ConfigError, NodeConfig, end_of, load, node_of, parse
from peerwatch.detect.registry import all_detectors

DETECTOR = next(iter(all_detectors()))
OPTION = next(iter(all_detectors()[DETECTOR].options))

NODE = '[[node]]\nname = "a"\npid = 1\n'

FULL = f"""
archive = "/srv/history"
user = "watcher"
ring_mib = 64

[[node]]
name = "alice"
binary = "/usr/bin/bitcoind"
args = ["-datadir=/srv/alice"]
user = "bitcoin"

[[node]]
name = "bob-2.test_x"
pid_file = "/run/bob.pid"
pid = 77
capture = "/srv/bob/message_capture"

[detect.{DETECTOR}]
{OPTION} = 3

[capture_limits]
default = 0
tx = 1000
"""


def test_everything_can_be_left_out() -> None:
    """No file and an empty one are the defaults."""
    assert load(None) == parse("") == Config()
    assert (Config().archive, Config().ring_mib, Config().node) == ("/var/lib/peerwatch", 256, [])


def test_everything_can_be_set() -> None:
    """Every key reaches its place; whole numbers will do for options of detectors."""
    config = parse(FULL)
    assert (config.archive, config.user, config.ring_mib) == ("/srv/history", "watcher", 64)
    assert config.node == [
        NodeConfig("alice", "/usr/bin/bitcoind", ["-datadir=/srv/alice"], user="bitcoin"),
        NodeConfig("bob-2.test_x", pid=77, pid_file="/run/bob.pid", capture="/srv/bob/message_capture"),
    ]
    assert config.detect == {DETECTOR: {OPTION: 3.0}}
    assert config.capture_limits == {"default": 0, "tx": 1000}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nodes = 1", "unknown key `nodes`; did you mean `node`?"),
        ("zzz = 1", "unknown key `zzz`; known are archive, user, record, retention, ring_mib, node, "),
        ('record = "lite"', "invalid enum value 'lite' in `record`; use light, standard, full"),
        ('[[node]]\nname = "a"\nrpc = "x"', "node a: `rpc` is host:port or a port of this machine, such as"),
        ('[[node]]\nname = "a"\nrpc = "off"', "node a: say how to find it"),
        ('[[node]]\nname = "a"\nlog = "x"\nrpc_user = "u"', "node a: `rpc_user` and `rpc_password_file` go together"),
        ('[[node]]\nname = "a"\nprobe = "v3"', "invalid enum value 'v3' in `node 1.probe`"),
        ('[origins]\nasmp = "x"', "unknown key `asmp` in `origins`; did you mean `asmap`?"),
        ("[rpc_seconds]\ngetpeerinfo = -1", "expected `float` >= 0.0 in `rpc_seconds.getpeerinfo`"),
        ("[retention]\nday = 3", "unknown key `day` in `retention`; did you mean `days`?"),
        ("[retention]\ndays = 0", "expected `int` >= 1 in `retention.days`"),
        ('[retention]\ngib = "9"', "expected `float`, got `str` in `retention.gib`"),
        ("[retention]\ngib = 0", "expected `float` > 0.0 in `retention.gib`"),
        ("[retention]\nrollup_days = 9", "`retention.days` must be set, and to no more than `rollup_days` (9)"),
        ("[retention]\ndays = 10\nrollup_days = 9", "`retention.days` must be set, and to no more than `rollup_days` (9)"),
        ('[[node]]\nname = "a"\nbinry = "x"', "unknown key `binry` in `node 1`; did you mean `binary`?"),
        (f'{NODE}[[node]]\nname = "b"\nqq = 2', "unknown key `qq` in `node 2`; known are name, binary, args, pid, pid_file"),
        ("[detect.addr_floot]\nx = 1", "no detector `addr_floot`; did you mean `addr_flood`?"),
        (f"[detect.{DETECTOR}]\n{OPTION[1:]} = 1", f"detector {DETECTOR} has no option `{OPTION[1:]}`; did you mean"),
        (f"[detect.{DETECTOR}]\nzzzz = 1", f"detector {DETECTOR} has no option `zzzz`; known are {OPTION}"),
        (f'[detect.{DETECTOR}]\n{OPTION} = "high"', f"expected `float`, got `str` in `detect.{DETECTOR}.{OPTION}`"),
        (f"[detect.{DETECTOR}]\n{OPTION} = nan", f"`detect.{DETECTOR}.{OPTION}` must be a number, not nan"),
        (f"[detect.{DETECTOR}]\n{OPTION} = -inf", f"`detect.{DETECTOR}.{OPTION}` must be a number, not -inf"),
        ("detect = 1", "expected `object`, got `int` in `detect`"),
        ("[detect]\na = 1", "expected `object`, got `int` in `detect.a`"),
        ('ring_mib = "big"', "expected `int`, got `str` in `ring_mib`"),
        ("ring_mib = 0", "expected `int` >= 1 in `ring_mib`"),
        ("ring_mib = 4096", "expected `int` <= 2048 in `ring_mib`"),
        ('[node]\nname = "a"', "expected `array`, got `object` in `node`; write [[node]]"),
        ('[[node]]\nbinary = "x"', "object missing required field `name` in `node 1`"),
        ('[[node]]\nname = "a"\nargs = ["x", 1]', "expected `str`, got `int` in `node 1.args 2`"),
        ('[[node]]\nname = "a"\npid = 0', "expected `int` >= 1 in `node 1.pid`"),
        ('[[node]]\nname = "a"', "node a: say how to find it (datadir, binary, args, pid, pid_file or user) or what to read"),
        (f"{NODE}{NODE}", "two nodes are named a; give each its own name"),
        ("[capture_limits]\ntx = 1\ninv = -1", "expected `int` >= 0 in `capture_limits.inv`"),
        ("[capture_limits]\ntx = 1.5", "expected `int`, got `float` in `capture_limits.tx`"),
        ("[capture_limits]\nthirteenbytes = 1", "`capture_limits`: 'thirteenbytes' is no message type, which has 1 to 12 bytes"),
        ('[capture_limits]\n"" = 1', "`capture_limits`: '' is no message type"),
        ('[capture_limits]\n"a\\u0000b" = 1', "`capture_limits`: 'a\\x00b' is no message type"),
        ("[capture_limits]\n" + "\n".join(f"t{i} = 1" for i in range(129)), "`capture_limits` has 129 message types; "),
        ("a = ", "not valid TOML: Invalid value (at end of document)"),
        ("a = 1\na = 2", "not valid TOML: Cannot overwrite a value"),
    ],
    ids=lambda v: v.replace("\n", " ")[:50],
)  # fmt: skip
def test_what_is_wrong_is_said(text: str, complaint: str) -> None:
    """One line that names the place, and the nearest thing that is known or what would be right."""
    with pytest.raises(ConfigError, match=re.escape(complaint)) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "a/b", "a b", "ä", "a\nb", "x" * 65, "../etc"])
def test_names_of_nodes_are_plain(name: str) -> None:
    """They become names of folders: letters, digits and a few marks, and nothing that leads anywhere."""
    escaped = name.replace("\n", "\\n")
    with pytest.raises(ConfigError, match="use up to 64 letters"):
        parse(f'[[node]]\nname = "{escaped}"\npid = 1')
    assert parse(f'[[node]]\nname = "{"x" * 64}"\npid = 1')


def test_limits_leave_room_for_what_dissectors_need() -> None:
    """As many types as fit beside those that have a limit anyway, which may be among them."""
    from peerwatch.app.live import capture_limits  # noqa: PLC0415 - only this test needs it
    from peerwatch.sources.usdt.slots import MAX_LIMITS  # noqa: PLC0415
    from peerwatch.wire.registry import needs_of_type  # noqa: PLC0415

    own = [*needs_of_type(), *(f"t{i}" for i in range(MAX_LIMITS - len(needs_of_type())))]
    config = parse("[capture_limits]\n" + "\n".join(f"{name} = 1" for name in own))
    assert len(capture_limits(config).by_type) == MAX_LIMITS


def test_a_file(tmp_path: Path) -> None:
    """It is read as UTF-8; what is wrong with it begins with its name."""
    path = tmp_path / "peerwatch.toml"
    path.write_bytes('archive = "/srv/ä"  # …\n'.encode())
    assert load(path).archive == "/srv/ä"
    path.write_text("nodes = 1")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: unknown key `nodes`"):
        load(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, or no text: one line with the name and why."""
    path = tmp_path / "peerwatch.toml"
    with pytest.raises(ConfigError, match=rf"cannot read {re.escape(str(path))}: No such file"):
        load(path)
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"cannot read .*utf-8"):
        load(path)


def test_a_node_in_a_line() -> None:
    """The keys are those of [[node]], numbers may be written plainly, and a name is given to what has none."""
    assert node_of("datadir=/srv/a,rpc=18443,role=edge", 1) == NodeConfig("node1", datadir="/srv/a", rpc="18443", role="edge")
    assert node_of("name=x,pid=7,args=-regtest", 1) == NodeConfig("x", pid=7, args=["-regtest"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("datadir", "'datadir' has no `=`"),
        ("datdir=/x", "unknown key `datdir` in `node 1`; did you mean `datadir`?"),
        ("pid=0", "expected `int` >= 1 in `node 1.pid`"),
        ("name=x", "node x: say how to find it"),
        ("name=../x,log=y", "node name '../x'"),
    ],
)
def test_what_is_wrong_with_a_node_in_a_line_is_said(text: str, complaint: str) -> None:
    """As for a file."""
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        node_of(text, 1)


def test_ends() -> None:
    """A host and port, or a port of this machine."""
    assert end_of("8332") == ("127.0.0.1", 8332)
    assert end_of("[::1]:1") == ("::1", 1)
    for wrong in ("", "host:", "a:0", "a:65536"):
        with pytest.raises(ValueError, match=r"^(invalid literal|a:)"):
            end_of(wrong)
