"""mailFolders: list, get, create, rename, delete, children."""

from local.graph.http import odata
from local.graph.http.errors import GraphError, unknown_property
from local.graph.http.listing import list_answer
from local.graph.http.routes import Routes
from local.graph.mail.exchange import NO_CONTENT, Json, Request, Response
from local.graph.mail.representation import FOLDER_SCHEMA, folder_extended, folder_json, folder_select
from local.graph.mail.store import Folder, Mailbox, Store

_ROOT = "msgfolderroot"


class FolderRoutes:
    """https://learn.microsoft.com/graph/api/resources/mailfolder"""  # noqa: D400, D415 - a link, not a sentence

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, routes: Routes) -> None:
        """Add every path of this subject."""
        top, one = "users/{user}/mailFolders", "users/{user}/mailFolders/{folder}"
        children = f"{one}/childFolders"
        for pattern in (top, children):
            routes.add("GET", pattern, self.list_folders)
            routes.add("POST", pattern, self.create)
        for pattern in (one, f"{children}/{{child}}"):
            routes.add("GET", pattern, self.get)
            routes.add("PATCH", pattern, self.rename)
            routes.add("DELETE", pattern, self.delete)

    async def list_folders(self, request: Request) -> Response:
        """Return the children of a folder, or of the root."""
        mailbox, parent = self._named(request)
        criteria = None
        if request.query.get("$filter"):
            criteria = odata.parse_filter(request.query["$filter"], FOLDER_SCHEMA)
        folders = [f for f in mailbox.children(parent) if criteria is None or criteria.matches(f)]
        if request.query.get("$orderby"):
            folders = odata.sort(folders, odata.parse_order(request.query["$orderby"], FOLDER_SCHEMA))
        select = folder_select(request)
        return list_answer(request, folders, lambda folder: folder_json(mailbox, folder, select))

    async def get(self, request: Request) -> Response:
        """One folder by id or well-known name."""
        mailbox, folder = self._named(request)
        shown = folder_json(mailbox, folder, folder_select(request), folder_extended(request))
        return Response(json=_context(request, shown))

    async def create(self, request: Request) -> Response:
        """Below the root or another folder; ErrorFolderExists where the name is taken."""
        mailbox, parent = self._named(request)
        folder = self._store.create_folder(mailbox, parent, _display_name(request))
        return Response(status=201, json=_context(request, folder_json(mailbox, folder)))

    async def rename(self, request: Request) -> Response:
        """PATCH displayName."""
        mailbox, folder = self._named(request)
        self._store.rename_folder(mailbox, folder, _display_name(request))
        return Response(json=_context(request, folder_json(mailbox, folder)))

    async def delete(self, request: Request) -> Response:
        """Remove the folder; what is in it goes to Deleted Items."""
        mailbox, folder = self._named(request)
        self._store.delete_folder(mailbox, folder)
        return NO_CONTENT

    def _named(self, request: Request) -> tuple[Mailbox, Folder]:
        mailbox = self._store.mailbox(request.parameters["user"])
        key = request.parameters.get("child") or request.parameters.get("folder", _ROOT)
        return mailbox, mailbox.folder(key)


def _display_name(request: Request) -> str:
    body = request.json_object()
    for name in body:
        if name not in {"displayName", "isHidden", "@odata.type"}:
            raise unknown_property(name, "mailFolder")
    display_name = body.get("displayName")
    if not isinstance(display_name, str) or not display_name.strip():
        raise GraphError(400, "ErrorInvalidArgument", "The folder's displayName must not be empty.")
    return display_name


def _context(request: Request, folder: Json) -> Json:
    user = request.parameters["user"]
    return {"@odata.context": f"{request.base_url}/$metadata#users('{user}')/mailFolders/$entity", **folder}
