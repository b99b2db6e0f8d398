"""What a node's files and arguments say of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from peerwatch.sources.datadir import CHAINS, DatadirError, datadir_of, node_files, read_conf


def conf(folder: Path, text: str) -> Path:
    """Write a `bitcoin.conf`."""
    (folder / "bitcoin.conf").write_text(text)
    return folder


def test_without_anything_it_is_a_main_chain_node(tmp_path: Path) -> None:
    """An empty folder has Core's defaults, and what only the configuration could tell is not known."""
    files = node_files(tmp_path)
    assert (files.chain, files.folder, files.rpc, files.p2p) == ("main", tmp_path, ("127.0.0.1", 8332), ("127.0.0.1", 8333))
    assert (files.cookie, files.log) == (tmp_path / ".cookie", tmp_path / "debug.log")
    assert (files.conf, files.listens, files.binds) == (None, None, None)


@pytest.mark.parametrize(
    ("flag", "chain"),
    [
        ("-regtest", "regtest"),
        ("-testnet4", "testnet4"),
        ("-testnet", "test"),
        ("-chain=signet", "signet"),
        ("-regtest=0", "main"),
    ],
)
def test_the_command_line_names_the_chain(tmp_path: Path, flag: str, chain: str) -> None:
    """Every way to name a chain leads to its folder and ports."""
    files = node_files(tmp_path, ["bitcoind", flag])
    subfolder, rpc_port, port = CHAINS[chain]
    assert (files.chain, files.folder) == (chain, tmp_path / subfolder)
    assert (files.rpc, files.p2p) == (("127.0.0.1", rpc_port), ("127.0.0.1", port))


def test_precedence(tmp_path: Path) -> None:
    """The command line is before the section, the section before the rest; and of a file the first value counts."""
    conf(
        tmp_path, "regtest=1\nrpcport=1\ndebuglogfile=top.log\npid=x.pid\n[regtest]\nrpcport=2\nrpcport=3\ndebuglogfile=own.log\n"
    )
    assert node_files(tmp_path).rpc == ("127.0.0.1", 2)
    files = node_files(tmp_path, ["-rpcport=8", "-rpcport=9"])
    assert files.rpc == ("127.0.0.1", 9)
    assert files.log == tmp_path / "regtest/own.log"
    assert files.pid_file == tmp_path / "regtest/x.pid"


def test_ports_outside_of_a_section_are_the_main_chains(tmp_path: Path) -> None:
    """What belongs to one network only is not taken for another one."""
    conf(tmp_path, "rpcport=1111\nbind=203.0.113.7:2222\n")
    assert node_files(tmp_path).rpc == ("127.0.0.1", 1111)
    other = node_files(tmp_path, ["-regtest"])
    assert (other.rpc, other.binds, other.own_addresses) == (("127.0.0.1", 18443), 0, ())


def test_dotted_names_and_includes(tmp_path: Path) -> None:
    """`regtest.port=` is the section's, and included files are read from where the first one lies."""
    (tmp_path / "more.conf").write_text("[regtest]\nrpcport=77\n")
    conf(tmp_path, "regtest=1\nregtest.port=5555\nincludeconf=more.conf\n# rpcport=1\n")
    files = node_files(tmp_path)
    assert (files.rpc, files.p2p) == (("127.0.0.1", 77), ("127.0.0.1", 5555))


def test_own_addresses_and_where_it_can_be_reached_from_here(tmp_path: Path) -> None:
    """Addresses that the configuration names as the node's own are known, and its loopback end is preferred."""
    binds = [
        "-bind=203.0.113.7:8333",
        "-bind=127.0.0.1:8444=onion",
        "-bind=127.0.0.2:8555",
        "-externalip=[2001:db8::1]:99",
        "-externalip=x.onion",
    ]
    files = node_files(tmp_path, binds)
    assert files.own_addresses == (("2001:db8::1", 99), ("x.onion", None), ("203.0.113.7", 8333))
    assert (files.p2p, files.binds, files.listens) == (("127.0.0.2", 8555), 3, True)
    assert node_files(tmp_path, ["-bind=0.0.0.0:777"]).p2p == ("127.0.0.1", 777)


@pytest.mark.parametrize(
    ("args", "listens"),
    [
        (["-listen=0"], False),
        (["-nolisten"], False),
        (["-connect=0"], False),
        (["-connect=0", "-bind=127.0.0.1"], True),
        (["-x"], True),
    ],
)
def test_whether_it_listens(tmp_path: Path, args: list[str], *, listens: bool) -> None:
    """As Core decides it."""
    assert node_files(tmp_path, args).listens is listens


def test_a_password_takes_the_place_of_the_cookie_and_the_server_can_be_off(tmp_path: Path) -> None:
    """Core writes no cookie when there is a password; without a server there is nothing to ask; without a log nothing to read."""
    conf(tmp_path, "rpcuser=a\nrpcpassword=b\nx=1\n")
    files = node_files(tmp_path, ["-server=0", "-nodebuglogfile"])
    assert (files.cookie, files.rpc, files.log) == (None, None, None)
    assert files.conf == tmp_path / "bitcoin.conf"


def test_rpc_binds(tmp_path: Path) -> None:
    """Of several ends the one on loopback is asked, on its own port."""
    assert node_files(tmp_path, ["-rpcbind=192.0.2.1", "-rpcbind=127.0.0.1:45"]).rpc == ("127.0.0.1", 45)
    assert node_files(tmp_path, ["-rpcbind=0.0.0.0"]).rpc == ("127.0.0.1", 8332)


def test_the_only_chain_in_a_folder_is_taken(tmp_path: Path) -> None:
    """A data directory that was used for one chain tells which, if nothing else does."""
    (tmp_path / "regtest/blocks").mkdir(parents=True)
    assert node_files(tmp_path).chain == "regtest"
    (tmp_path / "blocks").mkdir()
    assert node_files(tmp_path).chain == "main"


@pytest.mark.parametrize("args", [["-chain=moon"], ["-rpcport=x"], ["-port=70000"], ["-bind=1.2.3.4:"]])
def test_nonsense_is_an_error(tmp_path: Path, args: list[str]) -> None:
    """What is no chain or port is said in a sentence."""
    with pytest.raises(DatadirError, match=r"no (chain|port)"):
        node_files(tmp_path, args)


def test_datadir_of_a_command_line(tmp_path: Path) -> None:
    """The folder that was named, else that in the home; a relative one cannot be told."""
    assert datadir_of(["bitcoind", "-datadir=/srv/a"], tmp_path) == Path("/srv/a")
    assert datadir_of(["bitcoind"], tmp_path) == tmp_path / ".bitcoin"
    assert datadir_of(["bitcoind", "-datadir=a"], tmp_path) is None


def test_a_conf_that_is_not_there(tmp_path: Path) -> None:
    """It has no sections, and is not taken for an empty one; bytes that are no text do no harm."""
    assert read_conf(tmp_path / "bitcoin.conf") is None
    (tmp_path / "bitcoin.conf").write_bytes(b"\xff\xfe=1\nlisten\nport=1\n")
    assert node_files(tmp_path).p2p == ("127.0.0.1", 1)
