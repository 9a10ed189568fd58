"""The output of the host on its standard error, in the manner of `func start`."""

import logging
import sys
from datetime import UTC, datetime
from typing import override

_LEVELS = {
    "Trace": logging.DEBUG,
    "Debug": logging.DEBUG,
    "Information": logging.INFO,
    "Warning": logging.WARNING,
    "Error": logging.ERROR,
    "Critical": logging.CRITICAL,
    "None": logging.CRITICAL + 1,
}
BANNER = (
    "*** This is a local stand-in for `func start` (Azure Functions Core Tools), not Core Tools itself. "
    "See local/functions_host/README.md ***"
)


class _Formatter(logging.Formatter):
    @override
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def announce() -> None:
    """Say what this is, before anything else."""
    print(BANNER, file=sys.stderr, flush=True)


def set_up(*, host_level: str, function_level: str) -> None:
    """Log the host's and the app's records, each from its level in host.json on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("[%(asctime)s] %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    # As in the real worker, the app's records arrive at the root logger.
    root.setLevel(_LEVELS[function_level])
    logging.getLogger("host").setLevel(_LEVELS[host_level])
    # The SDK writes two lines for every request, the host's own included, and the worker one for every run.
    for noisy in ("azure", "aiohttp", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def brief(error: Exception) -> str:
    """Describe an error in one line; the messages of the SDK have several lines."""
    return f"{type(error).__name__}: {str(error).partition('\n')[0]}"
