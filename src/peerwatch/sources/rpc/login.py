"""The login at a node's RPC server: its cookie, or the password of a user, in a file of its own or in the node's configuration.

Bitcoin Core writes a new cookie at every start and removes it when it stops (src/rpc/request.cpp: GenerateAuthCookie). A login
is never an argument, and neither `repr` nor any text of this module has it.
"""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from peerwatch.sources.datadir import read_conf

MOST_BYTES = 4096
"""A cookie has 75 bytes."""


class Kind(StrEnum):
    """Where a login stands."""

    COOKIE = "cookie"
    PASSWORD = "password"  # noqa: S105 - the word, not one
    CONF = "conf"


@dataclass(frozen=True, slots=True)
class _Texts:
    """What to say when a file is closed to us, missing, of no use, or not accepted."""

    closed: str
    missing: str
    useless: str
    wrong: str


_OWN_USER = "name a user that rpcauth= and rpcwhitelist= in its configuration know, with a file for the password"
_TEXTS = {
    Kind.COOKIE: _Texts(
        "The node's cookie is closed to us: run the node with -rpccookieperms=group (Bitcoin Core 28 and later) and put our user "
        f"into its group, or {_OWN_USER}.",
        "There is no cookie: the node does not run, has another data directory, or has a password instead.",
        "What should be the node's cookie is none.",
        "The node does not take the cookie: it is another node's.",
    ),
    Kind.PASSWORD: _Texts(
        "The file with the password of the RPC user is closed to us.",
        "The file with the password of the RPC user is missing.",
        "The file with the password of the RPC user has none.",
        "The node does not take the password of the RPC user.",
    ),
    Kind.CONF: _Texts(
        f"The node has a password, and its configuration is closed to us: {_OWN_USER}.",
        f"The node has neither a cookie nor a configuration: {_OWN_USER}.",
        f"The node's configuration has no rpcuser and rpcpassword: {_OWN_USER}.",
        f"The node does not take the rpcpassword of its configuration: {_OWN_USER}.",
    ),
}


@dataclass(frozen=True, slots=True)
class Login:
    """Where a login stands; not the login itself."""

    kind: Kind
    file: Path | None
    user: str | None = None
    """Whose password it is; of a cookie and a configuration, that stands in the file."""

    def is_exposed(self) -> bool:
        """Whether everybody on the machine may read the password, which we were told to keep; its mode should be 0600."""
        state = _state(self.file)
        return self.kind is Kind.PASSWORD and state is not None and bool(state[-1] & stat.S_IRWXO)


def login_of(cookie: Path | None, user: str | None, password_file: str | None, conf: Path | None) -> Login:
    """The login to take: of a user whose password file is named, else the cookie, else what the node's configuration has."""
    if user is not None and password_file is not None:
        return Login(Kind.PASSWORD, Path(password_file), user)
    return Login(Kind.COOKIE, cookie) if cookie else Login(Kind.CONF, conf)


class Credentials:
    """Reads a login, and again whenever its file is another one."""

    def __init__(self, login: Login) -> None:
        """Nothing is read yet."""
        self._login = login
        self._state: tuple[int, ...] | None = None
        """What told the file from others when it was read."""
        self._header: str | None = None
        self._why = _TEXTS[login.kind].missing

    def __repr__(self) -> str:
        """Say what kind it is, and nothing of it."""
        return f"Credentials({self._login.kind.value})"

    @property
    def why(self) -> str:
        """What to do about a login that was not accepted, in one sentence."""
        return self._why

    def header(self) -> str | None:
        """Value of the HTTP header `Authorization`; None if the login cannot be read."""
        if self.is_another():
            self._read()
        return self._header

    def renew(self) -> bool:
        """Read the login again, since it was not accepted. Returns whether it is another one now."""
        before = self._header
        self._read()
        return self._header not in (None, before)

    def is_another(self) -> bool:
        """Whether the file is not the one that was read last: then the node was started again, or stopped."""
        return _state(self._login.file) != self._state

    def _read(self) -> None:
        login, texts = self._login, _TEXTS[self._login.kind]
        self._header, self._state = None, _state(login.file)
        try:
            secret = _secret(login, self._state)
        except FileNotFoundError:
            self._why = texts.missing
        except OSError:
            self._why = texts.closed
        else:
            self._header = "Basic " + base64.b64encode(secret).decode() if secret else None
            self._why = texts.wrong if secret else texts.useless


def _state(file: Path | None) -> tuple[int, ...] | None:
    """What tells a file from others, its mode last; None if there is none."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode) if found else None


def _secret(login: Login, state: tuple[int, ...] | None) -> bytes | None:
    """User and password, with a colon between them; None if the file has none.

    Raises:
        OSError: the file cannot be read.
    """
    if login.file is None:
        raise FileNotFoundError
    if state and not stat.S_ISREG(state[-1]):
        raise PermissionError  # such as a pipe, which would keep us waiting
    if login.kind is Kind.CONF:
        return _of_conf(login.file)
    with login.file.open("rb") as file:
        secret = file.read(MOST_BYTES + 1).strip(b"\r\n")
    if not secret or len(secret) > MOST_BYTES:
        return None
    if login.user is not None:
        return os.fsencode(login.user) + b":" + secret
    return secret if b":" in secret else None


def _of_conf(conf: Path) -> bytes | None:
    """`rpcuser` and `rpcpassword` of a node's configuration: outside of sections first, as that is where most stand."""
    sections = read_conf(conf)
    if sections is None:
        with conf.open("rb"):  # it says why
            return None
    for options in (sections.get("", {}), *sections.values()):
        if password := options.get("rpcpassword"):
            return os.fsencode(options.get("rpcuser", [""])[0]) + b":" + os.fsencode(password[0])
    return None
