"""The console as a server: on this machine for one person, on Azure for people with an app role."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette

from console.access import EntraAccess, LoopbackAccess, on_azure
from console.app import build
from console.assertion import Assertions
from console.live_service import LiveService
from ingest import wiring
from ingest.errors import OperatorError, SettingsError
from ingest.settings import QueueAccount, Settings
from operations.settings import operator_database_url, tenant_assertion_key

HOST = "127.0.0.1"
# Browsers keep cookies of these two names apart, so that content never sees the session of the pages.
PAGE_NAME, CONTENT_NAME = "127.0.0.1", "localhost"


def serve_here(environ: Mapping[str, str], *, port: int, announce: Callable[[str], None]) -> None:
    """Serve on the loopback until interrupted; `announce` gets the link that opens the page, once.

    `port`: 0 takes any free one. Raises SettingsError, and OperatorError where the port is taken or on Azure.
    """
    if on_azure(environ):
        raise OperatorError("On Azure the console runs behind Entra sign-in: see docs/console.md.")
    service = _service(environ)
    access = LoopbackAccess(getpass.getuser())
    try:
        with _listening(port) as listener:
            number: int = listener.getsockname()[1]
            page, content = f"http://{PAGE_NAME}:{number}", f"http://{CONTENT_NAME}:{number}"
            hosts = (f"{PAGE_NAME}:{number}", f"{CONTENT_NAME}:{number}")
            app = build(
                service, access, assertions=_assertions(environ), hosts=hosts, page_url=page, content_url=content
            )
            announce(f"{page}/enter?key={access.key}")
            # No access log: a link's key stands in its URL.
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
            server.run(sockets=[listener])
    finally:
        service.close()


def on_app_service() -> Starlette:
    """Return the application for App Service: `uvicorn --factory console.serve:on_app_service`, without access log.

    Raises SettingsError without App Service authentication.
    """
    if not on_azure(os.environ):
        raise SettingsError(["WEBSITE_HOSTNAME is missing: on a machine of your own use python -m ingest console"])
    if not os.environ.get("INGEST_OPERATOR_DATABASE_URL", "").strip():
        raise SettingsError(["INGEST_OPERATOR_DATABASE_URL is missing: the console never takes the owner's rights"])
    # Search texts stand in URLs, and links to content.
    logging.getLogger("uvicorn.access").disabled = True
    service = _service(os.environ)
    return build(service, EntraAccess(os.environ), assertions=_assertions(os.environ))


def _service(environ: Mapping[str, str]) -> LiveService:
    queues = None
    with suppress(SettingsError):  # the console works without the queues, and says that their length is unknown
        queues = QueueAccount.from_env(environ)
    return LiveService(wiring.build(Settings.from_env(environ)), operator_database_url(environ), queues=queues)


def _assertions(environ: Mapping[str, str]) -> Assertions | None:
    key = tenant_assertion_key(environ)
    return Assertions(key) if key else None


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # so that a browser which is faster than the server waits
    except OSError as error:
        listener.close()
        raise OperatorError(f"Port {port} can't be used ({error.strerror}): name another one with --port.") from None
    return listener
