"""Storage queues as the host uses them, observed operation by operation.

https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import aiohttp

from local.functions_host.rest import Account, Client, StorageError

Phase = Literal["before", "after"]
# Called around every operation on a queue. What it raises is taken for a failure of the operation.
Observer = Callable[[str, Phase], None]

_LOST = {"MessageNotFound", "PopReceiptMismatch", "QueueNotFound"}


@dataclass(kw_only=True)
class Message:
    """A message that was taken from a queue. `pop_receipt` changes with every renewal, hence not frozen."""

    id: str
    text: str
    pop_receipt: str
    dequeue_count: int
    inserted_on: datetime
    expires_on: datetime
    next_visible_on: datetime


class Queue:
    """One queue of one storage account. Its methods raise StorageError and StorageDownError."""

    def __init__(self, client: Client, name: str, observers: list[Observer]) -> None:
        self.name = name
        self._client = client
        self._observers = observers

    async def get(self, *, limit: int, lease: timedelta) -> list[Message]:
        """Take up to `limit` messages (32 at most) for the time of `lease`; none where there is no queue.

        One attempt only: the caller polls again.
        """
        query = {"numofmessages": str(limit), "visibilitytimeout": _seconds(lease)}
        with self._observed("queue.get"):
            try:
                response = await self._client.request("GET", f"/{self.name}/messages", query=query, retry=False)
            except StorageError as error:
                if error.code == "QueueNotFound":
                    return []
                raise
            return _messages(response.body)

    async def put(self, text: str, *, operation: str = "queue.put") -> None:
        """Add a message; the queue is created where it is missing."""
        path = f"/{self.name}/messages"
        body = f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>".encode()
        with self._observed(operation):
            try:
                await self._client.request("POST", path, body=body)
            except StorageError as error:
                if error.code != "QueueNotFound":
                    raise
                await self._client.request("PUT", f"/{self.name}")  # 204 where another was quicker
                await self._client.request("POST", path, body=body)

    async def delete(self, message: Message) -> bool:
        """Delete a message; False when it is gone, or no longer ours because its lease ran out."""
        query = {"popreceipt": message.pop_receipt}
        with self._observed("queue.delete"):
            try:
                await self._client.request("DELETE", f"/{self.name}/messages/{message.id}", query=query)
            except StorageError as error:
                return _still_ours(error)
        return True

    async def release(self, message: Message, delay: timedelta) -> bool:
        """Let others see the message after `delay`; False when it is no longer ours."""
        return await self._hide("queue.release", message, delay)

    async def renew(self, message: Message, lease: timedelta) -> bool:
        """Keep a message for `lease` from now; False when it is no longer ours."""
        return await self._hide("queue.renew", message, lease)

    async def _hide(self, operation: str, message: Message, span: timedelta) -> bool:
        query = {"popreceipt": message.pop_receipt, "visibilitytimeout": _seconds(span)}
        with self._observed(operation):
            try:
                response = await self._client.request("PUT", f"/{self.name}/messages/{message.id}", query=query)
            except StorageError as error:
                return _still_ours(error)
        message.pop_receipt = response.headers["x-ms-popreceipt"]
        return True

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        for observer in self._observers:
            observer(operation, "before")
        yield
        for observer in self._observers:
            observer(operation, "after")


class QueueStorage:
    """The queues of every account that the app is connected to."""

    def __init__(self, session: aiohttp.ClientSession, observers: list[Observer]) -> None:
        self._session = session
        self._observers = observers
        self._queues: dict[tuple[Account, str], Queue] = {}

    def queue(self, account: Account, name: str) -> Queue:
        """Find a queue of an account, always the same object."""
        key = (account, name)
        if key not in self._queues:
            client = Client(self._session, account, account.queue_endpoint)
            self._queues[key] = Queue(client, name, self._observers)
        return self._queues[key]


def encode(body: str | bytes, encoding: str) -> str:
    """Encode a message as `messageEncoding` says. Raises ValueError: bytes that are no text need base64."""
    if encoding == "base64":
        return base64.b64encode(body.encode() if isinstance(body, str) else body).decode("ascii")
    return body if isinstance(body, str) else body.decode()


def decode(text: str, encoding: str) -> str:
    """Undo `encode`. Raises ValueError for what is not base64 or not UTF-8."""
    if encoding != "base64":
        return text
    try:
        return base64.b64decode(text, validate=True).decode()
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def _messages(body: bytes) -> list[Message]:
    return [
        Message(
            id=element.findtext("MessageId", ""),
            text=element.findtext("MessageText", ""),
            pop_receipt=element.findtext("PopReceipt", ""),
            dequeue_count=int(element.findtext("DequeueCount", "1")),
            inserted_on=_time(element, "InsertionTime"),
            expires_on=_time(element, "ExpirationTime"),
            next_visible_on=_time(element, "TimeNextVisible"),
        )
        for element in ET.fromstring(body)  # noqa: S314 - the answer of the app's own storage account
    ]


def _time(element: ET.Element, name: str) -> datetime:
    return parsedate_to_datetime(element.findtext(name, "")).astimezone(UTC)


def _seconds(span: timedelta) -> str:
    return str(int(span.total_seconds()))


def _still_ours(error: StorageError) -> bool:
    # https://learn.microsoft.com/rest/api/storageservices/queue-service-error-codes
    if error.code in _LOST:
        return False
    raise error
