"""Ports for servers that must be known before they listen, and stay the same when they come back."""

import socket


def free_port() -> int:
    """Find a port of the loopback that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
