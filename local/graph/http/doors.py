"""Listening sockets on loopback that can be closed and opened again on the same port."""

import contextlib
import socket
import ssl

from aiohttp import web

_HOST = "127.0.0.1"
# For requests in progress when the simulator is stopped, in seconds.
_PATIENCE = 0.5


class Door:
    """A TCP port of an aiohttp server; while closed it refuses connections and keeps the port."""

    def __init__(self, server: web.Server, *, port: int, tls: ssl.SSLContext | None) -> None:
        self._server = server
        self._tls = tls
        self._runner = web.ServerRunner(server, shutdown_timeout=_PATIENCE)
        self._site: web.SockSite | None = None
        # Bound but never listening: it keeps the port ours during an outage.
        self._placeholder = _bound(port)
        self.port: int = self._placeholder.getsockname()[1]

    async def start(self) -> None:
        """To be called once, before `open`."""
        await self._runner.setup()

    async def open(self) -> None:
        """Accept connections."""
        if self._site is None:
            self._site = web.SockSite(self._runner, _bound(self.port), ssl_context=self._tls)
            await self._site.start()

    async def close(self) -> None:
        """Refuse new connections and cut the present ones."""
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()
            for connection in list(self._server.connections):
                if connection.transport is not None:
                    connection.transport.abort()

    async def stop(self) -> None:
        """For good."""
        await self.close()
        with contextlib.suppress(TimeoutError):
            await self._runner.cleanup()
        self._placeholder.close()


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((_HOST, port))
    return bound
