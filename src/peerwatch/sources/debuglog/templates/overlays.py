"""Tor and I2P (i2p.cpp, torcontrol.cpp, netbase.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import Template

TEMPLATES = (
    Template(
        "i2p_session_creating",
        "i2p",
        "Creating {text} SAM session {word} with {word}",
        "A session with the I2P router is asked for; `text` is its kind.",
        "Creating persistent SAM session 1a2b3c with 127.0.0.1:7656",
        "22-30",
    ),
    Template(
        "i2p_session_created",
        "i2p",
        "{text} SAM session {word} created, my address={word}",
        "There is a session with the I2P router; its address is not kept, `text` is its kind.",
        "Persistent SAM session 1a2b3c created, my address=abc.b32.i2p:0",
        "25-30",
    ),
    Template(
        "i2p_session_destroyed",
        "i2p",
        "Destroying SAM session {word}",
        "A session with the I2P router is over.",
        "Destroying SAM session 1a2b3c",
        "22-30",
    ),
    Template(
        "i2p_error",
        "i2p",
        "Error {text}",
        "Something went wrong with I2P; `text` says what.",
        "Error accepting: Connection closed",
        "22-30",
    ),
    Template(
        "tor_connected", "tor", "Successfully connected!", "Connected to Tor's control port.", "Successfully connected!", "22-31"
    ),
    Template(
        "tor_service",
        "tor",
        "Got tor service ID {}",
        "The node has an onion service, whose name is not kept.",
        "Got tor service ID abcdef, advertising service abcdef.onion:8333",
        "29-31",
    ),
    Template(
        "tor_disconnected",
        "tor",
        "Not connected to Tor control port {word} {}",
        "Tor's control port is out of reach.",
        "Not connected to Tor control port 127.0.0.1:9051, will retry",
        "29-31",
    ),
    Template(
        "proxy_error",
        "none",
        "Socks5() connect to {word} failed: {text}",
        "A connection through the proxy failed; `text` says how.",
        "Socks5() connect to abc.onion:8333 failed: host unreachable",
        "22-31",
    ),
)
