"""messages: list, get, PATCH, DELETE, move, permanentDelete, the MIME."""

from collections.abc import Callable
from typing import Any

from local.graph.http import odata
from local.graph.http.errors import GraphError, item_not_found, mime_conversion_failed, unknown_property
from local.graph.http.listing import list_answer
from local.graph.http.routes import Routes
from local.graph.mail.content import Content, Patched
from local.graph.mail.exchange import NO_CONTENT, Request, Response
from local.graph.mail.mime import new_boundaries
from local.graph.mail.representation import (
    MESSAGE_SCHEMA,
    MIME_CONTENT_TYPE,
    View,
    etag,
    message_json,
    message_view,
)
from local.graph.mail.store import Folder, Mailbox, Message, Store

# Exchange makes no MIME of these message classes. Clear-signed mails (IPM.Note.SMIME.MultipartSigned) are fine.
_NOT_CONVERTED = frozenset({"IPM.Note.SMIME", "REPORT.IPM.Note.SMIME.NDR", "REPORT.IPM.Note.SMIME.IPNRN"})
_NEWEST_FIRST = odata.parse_order("receivedDateTime desc", MESSAGE_SCHEMA)


class MessageRoutes:
    """https://learn.microsoft.com/graph/api/resources/message"""  # noqa: D400, D415 - a link, not a sentence

    def __init__(self, store: Store, *, delete_to: str, check_folder: bool, changing_mime: bool) -> None:
        self._store = store
        self._delete_to = delete_to
        self._check_folder = check_folder
        self._changing_mime = changing_mime

    def register(self, routes: Routes) -> None:
        """Add every path of this subject, both below the user and below a folder."""
        for collection in ("users/{user}/messages", "users/{user}/mailFolders/{folder}/messages"):
            one = f"{collection}/{{message}}"
            routes.add("GET", collection, self.list_messages)
            routes.add("GET", one, self.get)
            routes.add("PATCH", one, self.update)
            routes.add("DELETE", one, self.delete)
            routes.add("GET", f"{one}/$value", self.mime)
            routes.add("POST", f"{one}/move", self.move)
            routes.add("POST", f"{one}/permanentDelete", self.permanently_delete)

    async def list_messages(self, request: Request) -> Response:
        """Of a folder, or of the whole mailbox; the newest first unless $orderby says otherwise."""
        mailbox = self._store.mailbox(request.parameters["user"])
        if "$search" in request.query:
            raise GraphError(400, "ErrorNotSupported", "The simulator has no $search.")
        criteria = None
        if request.query.get("$filter"):
            criteria = odata.parse_filter(request.query["$filter"], MESSAGE_SCHEMA)
        order = odata.parse_order(request.query.get("$orderby", ""), MESSAGE_SCHEMA)
        odata.check_efficient(order, criteria)
        view = message_view(request)
        found = [m for m in self._candidates(mailbox, request) if criteria is None or criteria.matches(m)]
        messages = odata.sort(found, order or _NEWEST_FIRST)
        return list_answer(request, messages, lambda message: message_json(message, view))

    async def get(self, request: Request) -> Response:
        """One message."""
        view = message_view(request)
        return _answer(request, self._named(request), view)

    async def update(self, request: Request) -> Response:
        """PATCH of what can be changed on a received mail; 412 where If-Match does not."""
        message = self._named(request)
        _check_unchanged(request, message)
        changes = request.json_object()
        setters = {name.lower(): setter for name, setter in _SETTERS.items()}
        for name in changes:
            if name.startswith("@odata."):
                continue
            if name.lower() not in setters:
                raise unknown_property(name, "message")
        for name, value in changes.items():
            if not name.startswith("@odata."):
                setters[name.lower()](message, value)
        self._store.updated(message)
        return _answer(request, message, message_view(request))

    async def delete(self, request: Request) -> Response:
        """To Recoverable Items (or first to Deleted Items); what is there already can't be deleted: 403.

        The immutable id still finds it there, so a second DELETE gets this 403 where a default id gets 404:
        https://github.com/microsoftgraph/msgraph-sdk-dotnet/issues/3047
        """
        message = self._named(request)
        _check_unchanged(request, message)
        recoverable = message.mailbox.well_known("recoverableitemsdeletions")
        if message.folder is recoverable:
            raise GraphError(403, "ErrorCannotDeleteObject", "Object cannot be deleted.")
        target = message.mailbox.well_known(self._delete_to)
        self._store.move(message, recoverable if message.folder is target else target)
        return NO_CONTENT

    async def permanently_delete(self, request: Request) -> Response:
        """To where no client of this API can reach it."""
        self._store.purge(self._named(request))
        return NO_CONTENT

    async def move(self, request: Request) -> Response:
        """POST {"destinationId"}, an id or a well-known name: 201 and the message with its new default id."""
        message = self._named(request)
        body = {name.lower(): value for name, value in request.json_object().items()}
        destination = body.get("destinationid")
        if not isinstance(destination, str) or not destination:
            raise GraphError(400, "ErrorInvalidRequest", "The DestinationId parameter is missing.")
        self._store.move(message, message.mailbox.folder(destination))
        return _answer(request, message, message_view(request), status=201)

    async def mime(self, request: Request) -> Response:
        """Send the bytes as they were received; 500 for S/MIME that Exchange does not convert.

        Under app-only access the conversion of opaque-signed and encrypted mails, and of reports about them,
        fails each time (reported in 2026).
        """
        message = self._named(request)
        if message.mail.message_class in _NOT_CONVERTED:
            raise mime_conversion_failed()
        content: Content | Patched = message.mime
        if self._changing_mime:
            content = Patched(content=message.mime, patches=new_boundaries(message.mail.boundaries))
        return Response(content=content, content_type=MIME_CONTENT_TYPE)

    def _candidates(self, mailbox: Mailbox, request: Request) -> list[Message]:
        folder_key = request.parameters.get("folder")
        if folder_key is not None:
            return list(mailbox.folder(folder_key).messages.values())
        hidden = mailbox.well_known("recoverableitemsdeletions")
        return [m for f in mailbox.folders.values() if f is not hidden for m in f.messages.values()]

    def _named(self, request: Request) -> Message:
        return named_message(self._store, request, check_folder=self._check_folder)


def named_message(store: Store, request: Request, *, check_folder: bool) -> Message:
    """Find the message that a path names; with `check_folder` it must lie in the folder of the path, if any."""
    mailbox = store.mailbox(request.parameters["user"])
    folder: Folder | None = None
    if "folder" in request.parameters:
        folder = mailbox.folder(request.parameters["folder"])
    message = mailbox.message(request.parameters["message"])
    if check_folder and folder is not None and message.folder is not folder:
        raise item_not_found()
    return message


def _answer(request: Request, message: Message, view: View, *, status: int = 200) -> Response:
    context = f"{request.base_url}/$metadata#users('{request.parameters['user']}')/messages/$entity"
    return Response(
        status=status,
        json={"@odata.context": context, **message_json(message, view)},
        headers={"ETag": etag(message)},
    )


def _check_unchanged(request: Request, message: Message) -> None:
    expected = request.headers.get("if-match")
    if expected not in {None, "*", etag(message)}:
        raise GraphError(
            412,
            "ErrorIrresolvableConflict",
            "The send or update operation could not be performed because the change key passed in the "
            "request does not match the current change key for the item.",
        )


def _wrong_type(name: str) -> GraphError:
    return GraphError(400, "UnableToDeserializePostBody", f"The value of the property '{name}' has a wrong type.")


def _set_read(message: Message, value: Any) -> None:  # noqa: ANN401 - any JSON value of the client
    if not isinstance(value, bool):
        raise _wrong_type("isRead")
    message.is_read = value


def _set_categories(message: Message, value: Any) -> None:  # noqa: ANN401 - any JSON value of the client
    if not isinstance(value, list) or not all(isinstance(category, str) for category in value):
        raise _wrong_type("categories")
    message.categories = tuple(value)


def _set_flag(message: Message, value: Any) -> None:  # noqa: ANN401 - any JSON value of the client
    if not isinstance(value, dict) or value.get("flagStatus") not in {"notFlagged", "complete", "flagged"}:
        raise _wrong_type("flag")
    message.flag_status = value["flagStatus"]


def _set_word(attribute: str, name: str, allowed: frozenset[str] | None) -> Callable[[Message, Any], None]:
    def set_word(message: Message, value: Any) -> None:  # noqa: ANN401 - any JSON value of the client
        if not isinstance(value, str) or (allowed is not None and value not in allowed):
            raise _wrong_type(name)
        setattr(message, attribute, value)

    return set_word


# What may be changed on a mail that is no draft. https://learn.microsoft.com/graph/api/message-update
_SETTERS: dict[str, Callable[[Message, Any], None]] = {
    "isRead": _set_read,
    "categories": _set_categories,
    "flag": _set_flag,
    "importance": _set_word("importance", "importance", frozenset({"low", "normal", "high"})),
    "inferenceClassification": _set_word("inference", "inferenceClassification", frozenset({"focused", "other"})),
    "subject": _set_word("subject", "subject", None),
}
