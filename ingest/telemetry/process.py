"""The telemetry of this process: on where the environment names a place for it, else nothing at all."""

from __future__ import annotations

import atexit
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from ingest.model.message_ref import MessageRef
from ingest.telemetry.destinations import wanted
from ingest.telemetry.export import Exporter
from ingest.telemetry.recorder import Recorder

_recorder: Recorder | None = None


def start(environ: Mapping[str, str]) -> None:
    """Begin to listen where the environment wants telemetry. Imports no SDK. Called once."""
    global _recorder  # noqa: PLW0603 - one per process, set at its start
    if _recorder is None and wanted(environ):
        exporter = Exporter(environ)
        _recorder = Recorder(exporter)
        _recorder.listen()
        atexit.register(exporter.close)


def is_on() -> bool:
    """Return whether this process sends telemetry."""
    return _recorder is not None


def announced(ref: MessageRef, name: str, since: int) -> MessageRef:
    """Return the reference with the context of its new trace; unchanged where telemetry is off.

    `name`: of the trace's first span, which began at `since` (`time.time_ns()`).
    """
    return ref if _recorder is None else _recorder.announced(ref, name, since)


def mail(name: str, ref: MessageRef) -> AbstractContextManager[None]:
    """Everything in here belongs to the trace of this message."""
    return nullcontext() if _recorder is None else _recorder.mail(name, ref.announced)


now = time.time_ns
