"""The configuration: one TOML file, everything in it optional, unknown keys refused with the nearest known one."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from peerwatch.detect.registry import all_detectors
from peerwatch.schema.table import Level
from peerwatch.sources.usdt.slots import MAX_LIMITS, TYPE_BYTES
from peerwatch.wire.registry import needs_of_type

DEFAULT_ARCHIVE = Path("/var/lib/peerwatch")

NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Node names become folder names, so they are kept plain."""


class ConfigError(ValueError):
    """The configuration cannot be used; the message says where and what to do."""


class NodeConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One node to watch: its name, how its process is told from others, and where else it can be read."""

    name: str
    binary: str | None = None
    """Path of the executable."""
    args: list[str] = []
    """Arguments that must all be among those of the process, such as `-datadir=/srv/a`."""
    pid: Annotated[int, msgspec.Meta(ge=1)] | None = None
    pid_file: str | None = None
    user: str | None = None
    """User that the process runs as."""
    datadir: str | None = None
    """Data directory; without it that of the process. Where RPC, log, captures and process are found."""
    rpc: str | None = None
    """Where it answers, `host:port` or a port of this machine; `off` for not asking it."""
    cookie: str | None = None
    """Its cookie, if that lies elsewhere."""
    rpc_user: str | None = None
    rpc_password_file: str | None = None
    """In place of the cookie: a user that rpcauth= and rpcwhitelist= name, and a file that holds nothing but its password."""
    log: str | None = None
    """Its `debug.log`, if that lies elsewhere; `off` for not reading it."""
    capture: str | None = None
    """`message_capture` folder to follow (a node run with -capturemessages); `off` for not following it."""
    process: Literal["on", "off"] = "on"
    """Whether to read what the system says of its process."""
    probe: Literal["off", "v1", "v2", "auto"] = "off"
    """Transport of our own peer, which looks at the node from outside."""
    p2p: str | None = None
    """Where that peer connects to: an end of the node on this machine."""
    organization: str | None = None
    region: str | None = None
    role: str | None = None
    variant: str | None = None
    """Labels: who runs it, where, what for, and what it runs (master, rc, release …)."""

    @property
    def labels(self) -> dict[str, str]:
        """The labels that are given."""
        given = {name: getattr(self, name) for name in ("organization", "region", "role", "variant")}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def is_described(self) -> bool:
        """Whether its process can be told from others."""
        return bool(self.binary or self.args or self.pid or self.pid_file or self.user or self.datadir)


class RetentionConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How long what is recorded is kept; without a bound it is kept for good."""

    days: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Days that rows of single messages and of what is in them are kept."""
    rollup_days: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Days that roll-ups, connections, losses and incidents are kept; no fewer than `days`."""
    gib: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Size of the archive; beyond it the oldest rows go first."""


class OriginsConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What tells where addresses are from: files that the operator provides and keeps up to date."""

    asmap: str | None = None
    """An asmap in Bitcoin Core's format."""
    mmdb: str | None = None
    """A MaxMind database that has autonomous systems."""
    lists: dict[str, str] = {}
    """Files of addresses, subnets or names, by the name of the list."""


class Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Everything an operator can set."""

    archive: str = str(DEFAULT_ARCHIVE)
    user: str | None = None
    """User that the watcher runs as when started by root."""
    record: Level = Level.STANDARD
    """How much is recorded."""
    retention: RetentionConfig = RetentionConfig()
    ring_mib: Annotated[int, msgspec.Meta(ge=1, le=2048)] = 256
    """Ring buffer between kernel and watcher; 256 MiB holds 5 s at 100 k messages a second."""
    node: list[NodeConfig] = []
    origins: OriginsConfig = OriginsConfig()
    rpc_seconds: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}
    """Seconds between two calls of an RPC method, by method; 0 for never."""
    detect: dict[str, dict[str, float]] = {}
    """Options of detectors, by detector."""
    capture_limits: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}
    """Bytes kept of a message, by type; `default` for all others."""


def load(path: Path | None) -> Config:
    """Read the configuration, or take the defaults when there is no `path`.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key or a value that does not fit.
    """
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(text: str) -> Config:
    """Make a configuration of TOML text.

    Raises:
        ConfigError: as `load`.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}") from error
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_explained(str(error), raw)) from error
    _check_nodes(config)
    _check_detect(config)
    _check_retention(config.retention)
    _check_limits(config)
    return config


def _explained(message: str, raw: dict[str, Any]) -> str:
    """What msgspec says of `raw`, with the place named and, for an unknown key, the nearest known one."""
    what, _, at = message.partition(" - at ")
    place = _place(raw, message, at.strip("`"))
    where = f" in `{place}`" if place else ""
    if unknown := re.search("unknown field `([^`]*)`", what):
        parts = {"": Config, "retention": RetentionConfig, "origins": OriginsConfig}
        known = parts.get(place, NodeConfig).__struct_fields__
        return f"unknown key `{unknown[1]}`{where}{_nearest(unknown[1], known)}"
    hint = {"node": "; write [[node]]", "record": f"; use {', '.join(Level)}"}.get(place, "")
    what = what.replace(" | null", "")  # which TOML does not have
    return f"{what[0].lower()}{what[1:]}{where}{hint}"


def _place(raw: dict[str, Any], message: str, path: str) -> str:
    """A place in the file, such as `node 2.pid` or `capture_limits.tx`: msgspec's path, which names no keys of mappings."""
    place = ""
    steps: list[str] = []
    for step in re.findall(r"\[[^]]*\]|[^.\[]+", path.removeprefix("$")):
        if step == "[...]":
            mapping = reduce(dict.__getitem__, steps, raw)
            steps.append(next(key for key in mapping if _complaint(_alone(raw, [*steps, key])) == message))
        elif step.startswith("["):
            place += f" {int(step[1:-1]) + 1}"
            continue
        else:
            steps.append(step)
        place += f".{steps[-1]}"
    return place.removeprefix(".")


def _alone(raw: dict[str, Any], steps: list[str]) -> dict[str, Any]:
    """Mappings reduced to what lies at one place."""
    step, *further = steps
    return {step: _alone(raw[step], further) if further else raw[step]}


def _complaint(raw: Any) -> str:
    try:
        msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else f"; known are {', '.join(known)}"


def _check_nodes(config: Config) -> None:
    names = [n.name for n in config.node]
    for node in config.node:
        if not NODE_NAME.fullmatch(node.name):
            raise ConfigError(f"node name {node.name!r}: use up to 64 letters, digits and - _ . and begin with a letter or digit")
        if names.count(node.name) > 1:
            raise ConfigError(f"two nodes are named {node.name}; give each its own name")
        if not (node.is_described or any(given not in (None, "off") for given in (node.rpc, node.log, node.capture))):
            raise ConfigError(
                f"node {node.name}: say how to find it (datadir, binary, args, pid, pid_file or user) "
                "or what to read (rpc, log or capture)"
            )
        for key, given in (("rpc", node.rpc), ("p2p", node.p2p)):
            if given is not None and given != "off":
                _check_end(f"node {node.name}: `{key}`", given)
        if (node.rpc_user is None) != (node.rpc_password_file is None):
            raise ConfigError(f"node {node.name}: `rpc_user` and `rpc_password_file` go together")


def with_nodes(config: Config, texts: Sequence[str]) -> Config:
    """The configuration with more nodes, each described in a line.

    Raises:
        ConfigError: as `load`.
    """
    nodes = [*config.node, *(node_of(text, number) for number, text in enumerate(texts, start=1))]
    _check_nodes(both := msgspec.structs.replace(config, node=nodes))
    return both


def node_of(text: str, number: int) -> NodeConfig:
    """A node described in a line, `key=value,key=value`: the keys of [[node]]; unless named, it is `node<number>`.

    Raises:
        ConfigError: as `load`.
    """
    given: dict[str, Any] = {"name": f"node{number}"}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(
                f"a node is given as key=value,key=value, such as datadir=/srv/alpha,name=alpha; {part!r} has no `=`"
            )
        given[key.strip()] = [value] if key.strip() == "args" else value
    raw = {"node": [given]}
    try:
        config = msgspec.convert(raw, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(_explained(str(error), raw)) from error
    _check_nodes(config)
    return config.node[0]


def end_of(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or of a port of this machine.

    Raises:
        ValueError: it is neither.
    """
    host, _, port = text.rpartition(":")
    number = int(port)
    if not 0 < number < 1 << 16:
        raise ValueError(text)
    return host.strip("[]") or "127.0.0.1", number


def _check_end(what: str, text: str) -> None:
    try:
        end_of(text)
    except ValueError:
        raise ConfigError(f"{what} is host:port or a port of this machine, such as 127.0.0.1:8332, not {text!r}") from None


def _check_detect(config: Config) -> None:
    known = all_detectors()
    for name, options in config.detect.items():
        if name not in known:
            raise ConfigError(f"no detector `{name}`{_nearest(name, known)}")
        for option, value in options.items():
            if option not in known[name].options:
                raise ConfigError(f"detector {name} has no option `{option}`{_nearest(option, known[name].options)}")
            if not math.isfinite(value):
                raise ConfigError(f"`detect.{name}.{option}` must be a number, not {value}")


def _check_retention(retention: RetentionConfig) -> None:
    days, longer = retention.days, retention.rollup_days
    if longer is not None and (days is None or days > longer):
        raise ConfigError(
            f"`retention.days` must be set, and to no more than `rollup_days` ({longer}): roll-ups outlive their rows"
        )


def _check_limits(config: Config) -> None:
    types = config.capture_limits.keys() - {"default"}
    for name in sorted(types):
        if not 0 < len(name.encode()) <= TYPE_BYTES or "\0" in name:
            raise ConfigError(f"`capture_limits`: {name!r} is no message type, which has 1 to {TYPE_BYTES} bytes")
    most = MAX_LIMITS - len(needs_of_type().keys() - types)
    if len(types) > most:
        raise ConfigError(f"`capture_limits` has {len(types)} message types; {most} is the most there can be")
