"""host.json with its environment overrides, as far as this host acts on it.

https://learn.microsoft.com/azure/azure-functions/functions-host-json
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.functions_host.errors import StartError

_OVERRIDE = "AzureFunctionsJobHost__"
_DURATION = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,7}))?")
_LEVELS = ("Trace", "Debug", "Information", "Warning", "Error", "Critical", "None")


@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """`extensions.queues`."""

    batch_size: int
    new_batch_threshold: int
    max_dequeue_count: int
    visibility_timeout: timedelta
    max_polling_interval: timedelta
    message_encoding: str


@dataclass(frozen=True, kw_only=True)
class HostJson:
    """The settings that this host takes from host.json; `function_timeout` None means no limit."""

    route_prefix: str
    queues: QueueOptions
    function_timeout: timedelta | None
    default_log_level: str
    function_log_level: str
    only_functions: tuple[str, ...] | None


def read_host_json(app: Path, settings: Mapping[str, str]) -> HostJson:
    """Read the app's host.json and lay `AzureFunctionsJobHost__a__b__c` settings over it.

    Raises StartError, which names the key, for a value that the real host would refuse as well.
    """
    path = app / "host.json"
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise StartError(f"{app} holds no host.json: --app must name the folder of a function app") from None
    except ValueError as error:
        raise StartError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, dict) or document.get("version") != "2.0":
        raise StartError(f'{path} must be an object with "version": "2.0"')
    values = _flatten(document)
    for name, value in settings.items():
        if name.lower().startswith(_OVERRIDE.lower()):
            values[tuple(name[len(_OVERRIDE) :].lower().split("__"))] = value
    reader = _Reader(values)
    return HostJson(
        route_prefix=reader.text("extensions.http.routePrefix", "api").strip("/"),
        queues=_queue_options(reader),
        function_timeout=_function_timeout(reader),
        default_log_level=reader.choice("logging.logLevel.default", "Information", _LEVELS),
        function_log_level=reader.choice(
            "logging.logLevel.Function", reader.text("logging.logLevel.default", "Information"), _LEVELS
        ),
        only_functions=tuple(document["functions"]) if isinstance(document.get("functions"), list) else None,
    )


def _queue_options(reader: "_Reader") -> QueueOptions:
    batch_size = reader.integer("extensions.queues.batchSize", 16, least=1, most=32)
    threshold = batch_size // 2 * (os.cpu_count() or 1)
    return QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=reader.integer("extensions.queues.newBatchThreshold", threshold, least=0),
        max_dequeue_count=reader.integer("extensions.queues.maxDequeueCount", 5, least=1),
        visibility_timeout=reader.duration("extensions.queues.visibilityTimeout", timedelta(0)),
        max_polling_interval=reader.duration(
            "extensions.queues.maxPollingInterval", timedelta(minutes=1), least=timedelta(milliseconds=100)
        ),
        message_encoding=reader.choice("extensions.queues.messageEncoding", "base64", ("base64", "none")),
    )


def _function_timeout(reader: "_Reader") -> timedelta | None:
    if reader.text("functionTimeout", "") == "-1":
        return None
    return reader.duration("functionTimeout", timedelta(minutes=30), least=timedelta(seconds=1))


def _flatten(node: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:  # noqa: ANN401 - any JSON value
    # Keys are case-insensitive in .NET's configuration, which the real host reads this with.
    if not isinstance(node, dict):
        return {path: node}
    return {key: leaf for name, child in node.items() for key, leaf in _flatten(child, (*path, name.lower())).items()}


class _Reader:
    """Typed values out of flat configuration; every refusal names its key."""

    def __init__(self, values: Mapping[tuple[str, ...], Any]) -> None:
        self._values = values

    def text(self, key: str, default: str) -> str:
        value = self._values.get(tuple(key.lower().split(".")))
        return default if value is None else str(value)

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        text = self.text(key, default)
        for one in allowed:
            if one.lower() == text.lower():
                return one
        raise StartError(f"host.json: {key} is {text!r}; it can be one of {', '.join(allowed)}")

    def integer(self, key: str, default: int, *, least: int, most: int | None = None) -> int:
        text = self.text(key, str(default))
        span = f"a whole number of at least {least}" + (f" and at most {most}" if most is not None else "")
        if not re.fullmatch(r"-?\d+", text) or int(text) < least or (most is not None and int(text) > most):
            raise StartError(f"host.json: {key} is {text!r}; it must be {span}")
        return int(text)

    def duration(self, key: str, default: timedelta, *, least: timedelta = timedelta(0)) -> timedelta:
        text = self.text(key, "")
        if not text:
            return default
        match = _DURATION.fullmatch(text)
        if not match:
            raise StartError(f"host.json: {key} is {text!r}; it must be a time span, written hh:mm:ss")
        days, hours, minutes, seconds, fraction = (part or "0" for part in match.groups())
        span = timedelta(days=int(days), hours=int(hours), minutes=int(minutes), seconds=float(f"{seconds}.{fraction}"))
        if span < least:
            raise StartError(f"host.json: {key} is {text!r}; it must be at least {least}")
        return span
