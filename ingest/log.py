"""Structured log lines: a stable event name and fields, and the one place that leaves secrets out.

    claim.taken_over mailbox="upload@dms.cloud" message="AAkALg…" attempts=2

Values are JSON, so that no sender can forge a line. An exception of this app is logged by its text, which is made from
names and codes. A foreign exception is logged by type and frames only: its text may quote content.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Mapping

from ingest.errors import IngestError

_logger = logging.getLogger("ingest")
type Listener = Callable[[str, Mapping[str, object]], None]
_listeners: list[Listener] = []
_MAX_VALUE = 2000  # characters: a traceback's frames fit, a hostile id does not flood


def subscribe(listener: Listener) -> Callable[[], None]:
    """Call `listener(event, fields)` for every event from now on. Returns the function that ends the subscription."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def info(event: str, **fields: object) -> None:
    """Log an expected event."""
    _write(logging.INFO, event, fields)


def warning(event: str, **fields: object) -> None:
    """Log an event that an operator may want to know of; the app goes on by itself."""
    _write(logging.WARNING, event, fields)


def error(event: str, **fields: object) -> None:
    """Log an event that an operator has to look at."""
    _write(logging.ERROR, event, fields)


def describe(exception: BaseException) -> str:
    """Describe an exception in one line that is safe to log and to store."""
    if isinstance(exception, IngestError):
        return f"{type(exception).__name__}: {exception}"
    return f"{type(exception).__module__}.{type(exception).__qualname__}"


def frames(exception: BaseException) -> str:
    """Return the traceback of an exception and of its causes, without any exception's text."""
    lines = []
    link: BaseException | None = exception
    while link is not None:
        places = traceback.extract_tb(link.__traceback__)
        lines.append(
            f"{describe(link)} at "
            + " > ".join(f"{place.filename.rsplit('/', 1)[-1]}:{place.lineno} {place.name}" for place in places)
        )
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return " | caused by ".join(lines)


def _write(level: int, event: str, fields: dict[str, object]) -> None:
    _logger.log(level, "%s", _line(event, fields))
    for listener in _listeners:
        listener(event, fields)


def _line(event: str, fields: dict[str, object]) -> str:
    return " ".join([event, *(f"{name}={_value(value)}" for name, value in fields.items() if value is not None)])


def _value(value: object) -> str:
    if isinstance(value, bool | int | float):
        return str(value)
    text = str(value)
    return json.dumps(text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "…")
