"""Attachments of all three kinds: list, get, the bytes."""

import asyncio
from dataclasses import replace

from local.graph.http.errors import GraphError, item_not_found, malformed_id
from local.graph.http.listing import list_answer
from local.graph.http.odata import MAX_TOP
from local.graph.http.routes import Routes
from local.graph.mail import ids, mime
from local.graph.mail.exchange import Json, Request, Response
from local.graph.mail.messages import named_message
from local.graph.mail.representation import (
    MIME_CONTENT_TYPE,
    View,
    attachment_json,
    attachment_select,
    nested_message_json,
)
from local.graph.mail.store import Attachment, Message, Store

_ITEM = "microsoft.graph.itemattachment/item"


class AttachmentRoutes:
    """https://learn.microsoft.com/graph/api/resources/attachment"""  # noqa: D400, D415 - a link, not a sentence

    def __init__(self, store: Store, *, check_folder: bool) -> None:
        self._store = store
        self._check_folder = check_folder

    def register(self, routes: Routes) -> None:
        """Add every path of this subject."""
        for parent in ("users/{user}/messages", "users/{user}/mailFolders/{folder}/messages"):
            collection = f"{parent}/{{message}}/attachments"
            routes.add("GET", collection, self.list_attachments)
            routes.add("GET", f"{collection}/{{attachment}}", self.get)
            routes.add("GET", f"{collection}/{{attachment}}/$value", self.value)

    async def list_attachments(self, request: Request) -> Response:
        """All of a message; with `contentBytes` unless $select leaves it out."""
        message = named_message(self._store, request, check_folder=self._check_folder)
        select = attachment_select(request)
        view = View(immutable_ids=request.immutable_ids)
        # Outlook does not page attachments: all of them come, up to the 250 that a message may have.
        whole = replace(request, query={**request.query, "$top": str(MAX_TOP)})
        return list_answer(whole, message.attachments, lambda a: attachment_json(message, a, view, select))

    async def get(self, request: Request) -> Response:
        """One; $expand=microsoft.graph.itemAttachment/item brings an attached message along."""
        message, attachment = self._named(request)
        view = View(immutable_ids=request.immutable_ids)
        body: Json = {
            "@odata.context": f"{request.base_url}/$metadata#{'/'.join(request.segments[:-1])}/$entity",
            **attachment_json(message, attachment, view, attachment_select(request)),
        }
        content = attachment.parsed.content
        if request.query.get("$expand", "").lower() == _ITEM and attachment.parsed.kind == "item" and content:
            scratch = content.path.with_name(content.path.name + ".item")
            body["item"] = nested_message_json(
                await asyncio.to_thread(mime.parse, content.path, attachments_at=scratch)
            )
        return Response(json=body)

    async def value(self, request: Request) -> Response:
        """Send the bytes of a file, the MIME of an attached message; a link has none (405)."""
        _, attachment = self._named(request)
        parsed = attachment.parsed
        if parsed.content is None:
            raise GraphError(
                405,
                "ErrorInvalidRequest",
                "The raw content of a reference attachment can't be read from Outlook.",
            )
        content_type = MIME_CONTENT_TYPE if parsed.kind == "item" else parsed.content_type
        return Response(content=parsed.content, content_type=content_type or "application/octet-stream")

    def _named(self, request: Request) -> tuple[Message, Attachment]:
        message = named_message(self._store, request, check_folder=self._check_folder)
        wanted = request.parameters["attachment"]
        for attachment in message.attachments:
            if wanted in {
                ids.attachment_id(message.immutable_id, attachment.key),
                ids.attachment_id(message.default_id, attachment.key),
            }:
                return message, attachment
        raise item_not_found() if ids.is_wellformed(wanted) else malformed_id()
