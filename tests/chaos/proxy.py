"""A TCP proxy that spoils some of the calls that go through it, in each protocol.

A call is what a client sends after the server has spoken, up to the end of the server's answer.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any, Literal, Self

_BLOCK = 64 * 1024
_SLOW_SECONDS = (0.05, 0.5)
# refused: broken before the request reached the server; lost: after it took effect; truncated: within the answer.
type Fault = Literal["refused", "lost", "truncated", "slow"]
FAULTS: tuple[Fault, ...] = ("refused", "lost", "truncated", "slow")


class Proxy:
    """Listens on `port` of the loopback while it is entered; forwards to the port that `upstream` gives then.

    `address`: the one to listen at; port 0 takes any free one.
    """

    def __init__(
        self, name: str, upstream: Callable[[], int], *, seed: int, address: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        self.name = name
        self.calls = 0
        self.faults: Counter[str] = Counter()
        self.probability = 0.0  # of a fault, for each call from now on
        self._upstream = upstream
        self._address = address
        self._random = random.Random(f"{seed} {name}")  # noqa: S311 - replayable, not unpredictable
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name=f"proxy {name}", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, *self._address, limit=_BLOCK))
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _close(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._upstream(), limit=_BLOCK)
        except OSError:
            writer.transport.abort()
            return
        finally:
            self._connections.discard(task)
        self._connections.add(task)
        connection = _Connection(self, (reader, writer), (server_reader, server_writer))
        try:
            await connection.run()
        except asyncio.CancelledError:
            pass  # the proxy closes; asyncio's streams would log it as an error
        finally:
            connection.abort()
            self._connections.discard(task)

    def draw(self) -> Fault | None:
        """Return the fault of the next call."""
        self.calls += 1
        if self._random.random() >= self.probability:
            return None
        fault = self._random.choice(FAULTS)
        self.faults[fault] += 1
        return fault

    def delay(self) -> float:
        """Seconds that a slow call takes longer."""
        return self._random.uniform(*_SLOW_SECONDS)


type _Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connection:
    """One client with its server. `fault`: what the call in progress still has to suffer."""

    def __init__(self, proxy: Proxy, client: _Streams, server: _Streams) -> None:
        self._proxy = proxy
        self._client_reader, self._client_writer = client
        self._server_reader, self._server_writer = server
        self._server_spoke = True
        self._fault: Fault | None = None

    async def run(self) -> None:
        """Until one side hangs up, or a fault does."""
        directions = [asyncio.ensure_future(self._requests()), asyncio.ensure_future(self._answers())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    def abort(self) -> None:
        """Reset both sides."""
        self._client_writer.transport.abort()
        self._server_writer.transport.abort()

    async def _requests(self) -> None:
        while data := await self._client_reader.read(_BLOCK):
            if self._server_spoke:
                self._server_spoke = False
                self._fault = self._proxy.draw()
            if self._fault == "refused":
                return
            if self._fault == "slow":
                self._fault = None
                await asyncio.sleep(self._proxy.delay())
            self._server_writer.write(data)
            await self._server_writer.drain()

    async def _answers(self) -> None:
        while data := await self._server_reader.read(_BLOCK):
            self._server_spoke = True
            if self._fault == "lost":
                return
            if self._fault == "truncated":
                self._client_writer.write(data[: len(data) // 2])
                await self._client_writer.drain()
                return
            self._client_writer.write(data)
            await self._client_writer.drain()
