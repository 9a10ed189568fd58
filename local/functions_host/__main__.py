"""Run a function app: `python -m local.functions_host --app DIR`.

Once everything listens, the first and only line on standard output is `{"url": "http://127.0.0.1:PORT"}`.
"""

import argparse
import asyncio
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from local.functions_host import console, host
from local.functions_host.errors import StartError


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    options = _parser().parse_args()
    console.announce()
    try:
        drained = asyncio.run(_run(options))
    except StartError as error:
        print(f"The app can't be started: {error}", file=sys.stderr)
        return 1
    if not drained:
        print(f"Runs that did not end within {host.DRAIN} were abandoned", file=sys.stderr)
    sys.stderr.flush()
    # Threads of abandoned or timed-out runs would keep the interpreter from ending.
    os._exit(0)


async def _run(options: argparse.Namespace) -> bool:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    app = await host.load(options.app, queue_lease=timedelta(seconds=options.queue_lease))
    for name in options.plugin:
        _plugin(name)(app)
    url = await app.start(options.port)
    print(json.dumps({"url": url}), flush=True)
    await stop.wait()
    return await app.stop()


def _plugin(name: str) -> Callable[[host.Host], object]:
    module, _, function = name.partition(":")
    try:
        plugin: Callable[[host.Host], object] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise StartError(f"--plugin {name} can't be loaded, it must be module:function: {error}") from error
    return plugin


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.functions_host", description=console.BANNER)
    parser.add_argument("--app", type=Path, required=True, help="folder with host.json and function_app.py")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--queue-lease",
        type=_lease,
        default=600,
        metavar="SECONDS",
        help="how long a message being worked on is hidden from others, renewed meanwhile (default: 600)",
    )
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="call this with the host once the app is loaded; can be given more than once",
    )
    return parser


def _lease(text: str) -> int:
    # https://learn.microsoft.com/rest/api/storageservices/get-messages: 1 second to 7 days
    if not text.isdecimal() or not 1 <= int(text) <= 7 * 24 * 3600:
        raise argparse.ArgumentTypeError("must be whole seconds, from 1 to 604800")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
