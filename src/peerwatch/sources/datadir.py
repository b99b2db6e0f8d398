"""Where a node keeps what can be read of it, and where it answers: from its data directory, `bitcoin.conf` and command line.

Precedence as in Bitcoin Core (src/common/config.cpp, args.cpp): command line, the chain's section of the file, the rest of it;
what belongs to one network only (ports, binds …) counts outside of a section for the main chain alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peerwatch.wire.raw import printable

CHAINS = {
    "main": ("", 8332, 8333),
    "test": ("testnet3", 18332, 18333),
    "testnet4": ("testnet4", 48332, 48333),
    "signet": ("signet", 38332, 38333),
    "regtest": ("regtest", 18443, 18444),
}
"""Subfolder, RPC port and P2P port by chain (src/chainparamsbase.cpp, kernel/chainparams.cpp)."""

NETWORK_ONLY = frozenset({"bind", "rpcbind", "rpcport", "port", "whitebind", "connect", "addnode", "externalip"})
"""Options that count for the main chain only unless they stand in a section (args.cpp: NETWORK_ONLY; externalip for our own
sake, since an address of another chain's node is not this one's).
"""

CONF_BYTES = 1 << 20
MOST_INCLUDES = 16
LOCAL = "127.0.0.1"
ONION = "=onion"
"""What marks an address that only Tor is to reach."""
ANY = ("0.0.0.0", "::", "")  # noqa: S104 - names what a node may bind to


class DatadirError(Exception):
    """A node's configuration cannot be used; the message says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What is known of a node from its files and arguments."""

    datadir: Path
    chain: str
    folder: Path
    """The chain's folder inside of it."""
    rpc: tuple[str, int] | None
    """Where it answers; None when its server is switched off."""
    cookie: Path | None
    """Its cookie; None when it has a password instead."""
    conf: Path | None
    """Its `bitcoin.conf`; None when there is none, or it is closed to us."""
    log: Path | None
    """Its `debug.log`; None when it writes none."""
    capture: Path
    """Where messages are with -capturemessages; need not be there."""
    pid_file: Path
    p2p: tuple[str, int]
    """Where it accepts connections on this machine."""
    listens: bool | None
    """None where its configuration is closed to us."""
    binds: int | None
    own_addresses: tuple[tuple[str, int | None], ...] = ()
    """Addresses (and ports) that its configuration names as its own."""


def node_files(datadir: Path, args: Sequence[str] = (), chain: str | None = None) -> NodeFiles:
    """What files and arguments of a node say.

    Args:
        datadir: as given to the node; where it is not given, `default_datadir`.
        args: its command line.
        chain: the chain, if it is known otherwise.

    Raises:
        DatadirError: a chain that there is not, or numbers that are none.
    """
    given = _arguments(args)
    conf = Path(_last(given, "conf") or "bitcoin.conf")
    conf = conf if conf.is_absolute() else datadir / conf
    sections = read_conf(conf)
    readable = sections is not None
    sections = sections or {}
    top = sections.get("", {})
    chain = chain or _chain(given) or _chain(top) or _only_chain(datadir)
    if chain not in CHAINS:
        raise DatadirError(f"there is no chain {chain!r}; known are {', '.join(CHAINS)}")
    moved = _last(top, "datadir")
    if moved and "datadir" not in given and Path(moved).is_absolute():
        datadir = Path(moved)
    subfolder, rpc_port, p2p_port = CHAINS[chain]
    folder = datadir / subfolder
    values = _Values(given, sections.get(chain, {}), top, main=chain == "main")

    def path(option: str, default: str, base: Path = folder) -> Path:
        named = Path(values.last(option) or default)
        return named if named.is_absolute() else base / named

    port = _port(values.last("port"), p2p_port)
    binds = values.all("bind")
    told = values.last("listen")
    listens = (
        told != "0" if told is not None else bool(binds) or values.last("connect") is None
    )  # init.cpp: InitParameterInteraction
    return NodeFiles(
        datadir=datadir,
        chain=chain,
        folder=folder,
        rpc=None if values.last("server") == "0" else _rpc(values, rpc_port),
        cookie=None if values.last("rpcpassword") else path("rpccookiefile", ".cookie"),
        conf=conf if readable else None,
        log=None if values.last("debuglogfile") in ("0", "") else path("debuglogfile", "debug.log"),
        capture=folder / "message_capture",
        pid_file=path("pid", "bitcoind.pid"),
        p2p=_local_end(binds, port),
        listens=listens if readable or args else None,
        binds=len(binds) if readable or args else None,
        own_addresses=_own_addresses(values, binds),
    )


def default_datadir(home: Path) -> Path:
    """The data directory of a node that was told none (args.cpp: GetDefaultDataDir)."""
    return home / ".bitcoin"


def datadir_of(args: Sequence[str], home: Path) -> Path | None:
    """The data directory that a command line names, else the default one; None when it depends on the working directory."""
    named = _last(_arguments(args), "datadir")
    path = Path(named) if named else default_datadir(home)
    return path if path.is_absolute() else None


def read_conf(path: Path) -> dict[str, dict[str, list[str]]] | None:
    """Options of a `bitcoin.conf` by section ("" outside of one), included files too; None when it is not there or closed."""
    sections: dict[str, dict[str, list[str]]] = {}
    if not _read_into(sections, path):
        return None
    for name in list(sections):
        for include in sections[name].get("includeconf", [])[:MOST_INCLUDES]:
            _read_into(sections, path.parent / include)  # an absolute one stays what it is
    return sections


def _read_into(sections: dict[str, dict[str, list[str]]], path: Path) -> bool:
    try:
        with path.open("rb") as file:
            text = file.read(CONF_BYTES).decode("utf-8", "replace")
    except OSError:
        return False
    section = ""
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        name, equals, value = line.partition("=")
        if not equals:
            continue
        name = name.strip()
        if "." in name:  # regtest.port=1 is the same as port=1 in section regtest
            into, _, name = name.partition(".")
        else:
            into = section
        sections.setdefault(into, {}).setdefault(name.removeprefix("-"), []).append(value.strip())
    return True


class _Values:
    """Options by precedence."""

    def __init__(
        self, given: Mapping[str, list[str]], section: Mapping[str, list[str]], top: Mapping[str, list[str]], *, main: bool
    ) -> None:
        self._given, self._section = given, section
        self._top = top if main else {name: values for name, values in top.items() if name not in NETWORK_ONLY}

    def last(self, name: str) -> str | None:
        """The value that counts: the last on the command line, else the first in the file; `0` for the negated option."""
        if name in self._given:
            return self._given[name][-1]
        return next((place[name][0] for place in (self._section, self._top) if name in place), None)

    def all(self, name: str) -> list[str]:
        """All values of an option that may be given more than once."""
        return [value for place in (self._given, self._section, self._top) for value in place.get(name, ())]


def _arguments(args: Sequence[str]) -> dict[str, list[str]]:
    """Options of a command line; `-nolisten` is `listen=0`, and one without a value is 1."""
    found: dict[str, list[str]] = {}
    for argument in args:
        if not argument.startswith("-"):
            continue
        name, equals, value = argument.lstrip("-").partition("=")
        if name.startswith("no") and not equals:
            name, value, equals = name[2:], "0", "="
        found.setdefault(name, []).append(value if equals else "1")
    return found


def _last(options: Mapping[str, Sequence[str]], name: str) -> str | None:
    return options[name][-1] if options.get(name) else None


def _chain(options: Mapping[str, Sequence[str]]) -> str | None:
    if named := _last(options, "chain"):
        return named
    flags = {"regtest": "regtest", "testnet4": "testnet4", "testnet": "test", "signet": "signet"}
    return next((chain for flag, chain in flags.items() if (_last(options, flag) or "0") != "0"), None)


def _only_chain(datadir: Path) -> str:
    """The chain that a data directory was used for, when it was only one; else the main chain."""
    used = [chain for chain, (subfolder, *_) in CHAINS.items() if _exists(datadir / subfolder / "blocks")]
    return used[0] if len(used) == 1 else "main"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _rpc(values: _Values, default: int) -> tuple[str, int]:
    port = _port(values.last("rpcport"), default)
    ends = [(LOCAL if host in ANY else host, own or port) for host, own in map(_split, values.all("rpcbind"))]
    return next((end for end in ends if _is_local(end[0])), ends[0] if ends else (LOCAL, port))


def _local_end(binds: Sequence[str], port: int) -> tuple[str, int]:
    """Where a node can be reached from its own machine."""
    ends = [_split(value) for value in binds if not value.endswith(ONION)]
    own = next(((host, given or port) for host, given in ends if _is_local(host)), None)
    return own or (LOCAL, next((given or port for host, given in ends if host in ANY), port))


def _is_local(host: str) -> bool:
    return host.startswith("127.") or host in ("::1", "localhost")


def _own_addresses(values: _Values, binds: Sequence[str]) -> tuple[tuple[str, int | None], ...]:
    named = [_split(value) for value in [*values.all("externalip"), *binds]]
    return tuple((host, port) for host, port in named if host not in ANY and not _is_local(host))


def _split(value: str) -> tuple[str, int | None]:
    """Host and port of `host`, `host:port` or `[v6]:port`."""
    value = value.removesuffix(ONION)
    if value.startswith("["):
        host, _, rest = value[1:].partition("]")
        return host, _number(rest.removeprefix(":")) if rest else None
    if value.count(":") == 1:
        host, _, rest = value.partition(":")
        return host, _number(rest)
    return value, None


def _port(text: str | None, default: int) -> int:
    return default if text is None else _number(text)


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise DatadirError(f"{printable(os.fsencode(text)[:32])!r} in the node's configuration is no port")
    return int(text)
