"""A user of the node's RPC interface that may call what peerwatch calls, and nothing else.

Source: Bitcoin Core, share/rpcauth/rpcauth.py (a salt and the HMAC-SHA256 of the password under it stand in `bitcoin.conf`, not
the password), and httprpc.cpp (`rpcwhitelist`).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from peerwatch.sources.rpc.registry import methods

NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
PASSWORD_BYTES = 32
SALT_BYTES = 16


def new_password() -> str:
    """A password that nobody guesses."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def conf_lines(name: str, password: str) -> list[str]:
    """Lines for `bitcoin.conf`. Other users keep what they may: `rpcwhitelistdefault=0`.

    Raises:
        ValueError: a name that would not stay whole in such a line.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"a user's name has up to 32 letters, digits, - and _; {name!r} is none")
    salt = secrets.token_hex(SALT_BYTES)
    code = hmac.new(salt.encode(), password.encode(), hashlib.sha256).hexdigest()
    called = ",".join(sorted({request.method for request in methods()}))
    return [f"rpcauth={name}:{salt}${code}", f"rpcwhitelist={name}:{called}", "rpcwhitelistdefault=0"]


def write_password(path: Path, password: str) -> None:
    """Write a password into a new file that only its owner can read.

    Raises:
        OSError: there is such a file already, or it cannot be made.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(password + "\n")
