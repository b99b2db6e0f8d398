"""Tor and I2P (i2p.cpp, torcontrol.cpp, netbase.cpp)."""

from __future__ import annotations

from peerwatch.sources.debuglog.template import Template, wordings

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
        "i2p_session_destroyed",
        "i2p",
        "Destroying SAM session {word}",
        "A session with the I2P router is over.",
        "Destroying SAM session 1a2b3c",
        "22-30",
    ),
    *wordings(
        "i2p_session_creating",
        "i2p",
        "A session with the I2P router is asked for; `text` is its kind.",
        (
            "Creating {text} I2P SAM session {word} with {word}",
            "Creating persistent I2P SAM session 1a2b3c with 127.0.0.1:7656",
            "31",
        ),
    ),
    *wordings(
        "i2p_session_created",
        "i2p",
        "There is a session with the I2P router; its address is not kept.",
        *(
            (
                f"{kind} session {{word}} created, my address={{word}}",
                f"{kind} session 1a2b3c created, my address=abc.b32.i2p:0",
                versions,
            )
            for kind, versions in (
                ("Persistent SAM", "25-30"),
                ("Transient SAM", "25-30"),
                ("Persistent I2P SAM", "31"),
                ("Transient I2P SAM", "31"),
            )
        ),
    ),
    *wordings(
        "i2p_session_destroyed",
        "i2p",
        "A session with the I2P router is over.",
        ("Destroying I2P SAM session {word}", "Destroying I2P SAM session 1a2b3c", "31"),
        ("Destroying incomplete SAM session", "Destroying incomplete SAM session", "22-30"),
        ("Destroying incomplete I2P SAM session", "Destroying incomplete I2P SAM session", "31"),
    ),
    *wordings(
        "i2p_error",
        "i2p",
        "Something went wrong with I2P; `text` says what.",
        ("Error accepting{}: {text}", "Error accepting (will close the session): Connection closed", "22-31"),
        ("Control socket error: {text}", "Control socket error: Connection reset by peer", "22-31"),
        ("Couldn't listen: {text}", "Couldn't listen: Cannot connect", "22-30"),
    ),
    *wordings(
        "i2p_connect_failed",
        "i2p",
        "A connection through I2P failed; `text` says how.",
        ("Error connecting to {address}: {text}", "Error connecting to abc.b32.i2p:0: CANT_REACH_PEER", "22-31"),
        (
            "Error connecting to {address}, {text}",
            "Error connecting to abc.b32.i2p:0, connection refused due to arbitrary port 8333",
            "22-31",
        ),
    ),
    *wordings(
        "tor_failed",
        "none",
        "Tor's control port does not do what it is asked.",
        *(
            (text, text.replace("{}", "127.0.0.1:9051"), "22-30")
            for text in (
                "tor: Authentication failed",
                "tor: SAFECOOKIE authentication challenge failed",
                "tor: No supported authentication method",
                "tor: Requesting protocol info failed",
                "tor: Error connecting to address {}",
                "tor: Initiating connection to Tor control port {} failed",
                "tor: Re-initiating connection to Tor control port {} failed",
                "tor: Authentication cookie {} could not be opened (check permissions)",
                "tor: Add onion failed{}",
            )
        ),
    ),
    *wordings(
        "tor_disconnected",
        "tor",
        "Tor's control port is out of reach.",
        ("Lost connection to Tor control port", "Lost connection to Tor control port", "32"),
        ("End of stream", "End of stream", "22-31"),
    ),
    *wordings(
        "tor_connected",
        "tor",
        "Connected to Tor's control port.",
        ("Successfully connected to Tor control port", "Successfully connected to Tor control port", "32"),
    ),
    *wordings(
        "tor_service",
        "tor",
        "The node has an onion service, whose name is not kept.",
        ("Got service ID {}", "Got service ID abcdef, advertising service abcdef.onion:8333", "25-26"),
        ("tor: Got service ID {}", "tor: Got service ID abcdef, advertising service abcdef.onion:8333", "22-24"),
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
