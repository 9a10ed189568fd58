"""The parts of the simulator, put together and run until a stop is asked for."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import trustme
from aiohttp import web
from aiosmtpd.smtp import SMTP

from local.graph.admin.server import AdminServer
from local.graph.config import Config
from local.graph.http.auth import EntraId, Tokens
from local.graph.http.doors import Door
from local.graph.http.faults import Faults
from local.graph.http.gateway import Gateway
from local.graph.http.routes import Routes
from local.graph.http.server import GraphServer
from local.graph.http.throttling import Throttle
from local.graph.http.traffic import TrafficLog
from local.graph.mail.attachments import AttachmentRoutes
from local.graph.mail.folders import FolderRoutes
from local.graph.mail.messages import MessageRoutes
from local.graph.mail.outgoing import SendMailRoutes, Sink
from local.graph.mail.postmaster import Postmaster
from local.graph.mail.smtp import SmtpServer
from local.graph.mail.store import Store
from local.graph.push.changes import ChangeFeed
from local.graph.push.notifications import Notifier
from local.graph.push.subscriptions import SubscriptionRoutes

_HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[dict[str, object]]:
    """Run all servers for the length of the block; yield their addresses for the parent process."""
    config.data.mkdir(parents=True, exist_ok=True)
    tls, ca_file = _certificate(config.data)
    feed = ChangeFeed()
    store = Store(config.mailboxes, feed)
    tokens, faults, throttle = Tokens(config.token_lifetime), Faults(), Throttle(config.limits)
    postmaster = Postmaster(store, config.data / "content")
    async with contextlib.AsyncExitStack() as stack:
        traffic = TrafficLog(config.traffic)
        stack.callback(traffic.close)
        notifier = Notifier(retry_base=config.retry_base, feed=feed, traffic=traffic)
        stack.push_async_callback(notifier.close)
        subscriptions = SubscriptionRoutes(config=config, store=store, notifier=notifier, feed=feed)
        routes = Routes()
        outgoing, sink = SendMailRoutes(store), Sink()
        for subject in (
            outgoing,
            MessageRoutes(
                store,
                delete_to=config.delete_to,
                check_folder=config.check_folder,
                changing_mime=config.changing_mime,
            ),
            AttachmentRoutes(store, check_folder=config.check_folder),
            FolderRoutes(store),
            subscriptions,
        ):
            subject.register(routes)
        gateway = Gateway(routes=routes, tokens=tokens, throttle=throttle, store=store, traffic=traffic)
        graph = GraphServer(gateway=gateway, entra=EntraId(config, tokens), faults=faults)
        door = Door(web.Server(graph.handle), port=config.port, tls=tls)
        await door.start()
        stack.push_async_callback(door.stop)
        await door.open()
        admin = AdminServer(
            store=store,
            feed=feed,
            postmaster=postmaster,
            gateway=gateway,
            throttle=throttle,
            faults=faults,
            tokens=tokens,
            notifier=notifier,
            subscriptions=subscriptions,
            door=door,
            sink=sink,
        )
        admin_runner = web.AppRunner(admin.application(), access_log=None, shutdown_timeout=0.5)
        await admin_runner.setup()
        stack.push_async_callback(admin_runner.cleanup)
        admin_site = web.TCPSite(admin_runner, _HOST, config.admin_port)
        await admin_site.start()
        loop = asyncio.get_running_loop()
        smtp = await loop.create_server(partial(SmtpServer, postmaster), _HOST, config.smtp_port)
        stack.callback(smtp.close)
        world = await loop.create_server(lambda: SMTP(sink, hostname="localhost"), _HOST, 0)
        stack.callback(world.close)
        outgoing.port = world.sockets[0].getsockname()[1]
        watcher = loop.create_task(subscriptions.watch())
        stack.callback(watcher.cancel)
        yield {
            "graph_base_url": f"https://localhost:{door.port}/v1.0",
            "authority_host": f"https://localhost:{door.port}",
            "ca_file": str(ca_file),
            "admin_url": f"http://{_HOST}:{admin_runner.addresses[0][1]}",
            "smtp_host": _HOST,
            "smtp_port": smtp.sockets[0].getsockname()[1],
        }


async def run(config: Config, stop: asyncio.Event) -> None:
    """Until `stop` is set. The first line on stdout says where everything listens."""
    async with running(config) as addresses:
        print(json.dumps(addresses), flush=True)
        await stop.wait()


def _certificate(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a CA, in a file that clients can trust, and a server certificate for this machine."""
    authority = trustme.CA()
    ca_file = directory.absolute() / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", _HOST).configure_cert(context)
    return context, ca_file
