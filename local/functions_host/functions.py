"""The functions of an app: what the worker indexed, as typed values."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.functions_host.errors import StartError
from local.functions_host.settings import is_disabled, resolve

# https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata
_QUEUE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
RETURN = "$return"


@dataclass(frozen=True, kw_only=True)
class HttpTrigger:
    """`methods` in upper case; none means every method."""

    parameter: str
    route: str
    methods: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class QueueTrigger:
    """The queue of a function: each of its messages runs the function once."""

    parameter: str
    queue: str
    connection: str


@dataclass(frozen=True, kw_only=True)
class TimerTrigger:
    """`schedule` is NCRONTAB with five or six fields."""

    parameter: str
    schedule: str
    run_on_startup: bool
    use_monitor: bool


@dataclass(frozen=True, kw_only=True)
class QueueOutput:
    """A queue that a parameter, or the return value (`$return`), is written to."""

    parameter: str
    queue: str
    connection: str


@dataclass(frozen=True, kw_only=True)
class Function:
    """One function of the app."""

    name: str
    function_id: str
    trigger: HttpTrigger | QueueTrigger | TimerTrigger
    outputs: tuple[QueueOutput, ...]
    disabled: bool


def read_functions(
    indexed: Iterable[Any], settings: Mapping[str, str], *, only: tuple[str, ...] | None = None
) -> list[Function]:
    """Turn the worker's RpcFunctionMetadata into functions, %SETTINGS% in them resolved.

    `only` is host.json's list of functions to run. Raises StartError for a binding that this host can't do.
    """
    functions = []
    for metadata in indexed:
        bindings = [json.loads(binding) for binding in metadata.raw_bindings]
        functions.append(
            _function(
                metadata.name,
                metadata.function_id,
                bindings,
                settings,
                disabled=is_disabled(metadata.name, settings) or (only is not None and metadata.name not in only),
            )
        )
    return functions


def _function(
    name: str,
    function_id: str,
    bindings: list[dict[str, Any]],
    settings: Mapping[str, str],
    *,
    disabled: bool,
) -> Function:
    trigger: HttpTrigger | QueueTrigger | TimerTrigger | None = None
    outputs = []
    for binding in bindings:
        where = f"function {name}, binding {binding.get('name')}"
        match binding["type"]:
            case "httpTrigger":
                trigger = _http_trigger(name, binding, settings, where)
            case "queueTrigger":
                trigger = QueueTrigger(**_queue(binding, settings, where))
            case "timerTrigger":
                trigger = TimerTrigger(
                    parameter=binding["name"],
                    schedule=resolve(binding["schedule"], settings, where=where),
                    run_on_startup=bool(binding.get("runOnStartup")),
                    use_monitor=binding.get("useMonitor") is not False,
                )
            case "queue":
                outputs.append(QueueOutput(**_queue(binding, settings, where)))
            case "http":
                pass  # the answer itself; the trigger knows what to do with it
            case other:
                raise StartError(
                    f"{where}: this stand-in can't do bindings of type {other!r}, only httpTrigger, http, "
                    "queueTrigger, queue and timerTrigger: use Core Tools for this app"
                )
    if trigger is None:
        raise StartError(f"function {name} has no trigger")
    return Function(name=name, function_id=function_id, trigger=trigger, outputs=tuple(outputs), disabled=disabled)


def _http_trigger(name: str, binding: dict[str, Any], settings: Mapping[str, str], where: str) -> HttpTrigger:
    level = str(binding.get("authLevel") or "function").lower()
    if level != "anonymous":
        # Core Tools doesn't check keys either, but a test against the stand-in must not prove that it is open.
        raise StartError(f"{where}: the authLevel is {level!r}; this stand-in has no keys, so only anonymous will do")
    return HttpTrigger(
        parameter=binding["name"],
        route=resolve(binding.get("route") or name, settings, where=where).strip("/"),
        methods=frozenset(str(method).upper() for method in binding.get("methods") or ()),
    )


def _queue(binding: dict[str, Any], settings: Mapping[str, str], where: str) -> dict[str, str]:
    queue = resolve(binding["queueName"], settings, where=where).lower()
    if not _QUEUE_NAME.fullmatch(queue):
        raise StartError(
            f"{where}: {queue!r} can't be the name of a queue, which has 3 to 63 characters: "
            "lower-case letters, digits and single dashes"
        )
    connection = resolve(binding.get("connection") or "", settings, where=where)
    return {"parameter": binding["name"], "queue": queue, "connection": connection}
