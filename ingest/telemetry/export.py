"""Records on their way out, in a thread behind the app, which imports the SDK behind the first answer.

A record that finds the buffer full is dropped and counted: telemetry never holds a mail up.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ingest import log
from ingest.telemetry.recorder import Record

if TYPE_CHECKING:
    from ingest.telemetry.sdk import Sdk

BUFFER = 20_000  # records: some minutes of a busy instance while the SDK is imported
FLUSH_SECONDS = 5.0


class Exporter:
    """The sink of a Recorder. The first record starts the thread, which imports the SDK."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._records: queue.Queue[Record | threading.Event] = queue.Queue(maxsize=BUFFER)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._dropped = 0

    def __call__(self, record: Record) -> None:
        """Take a record. Never blocks and never raises."""
        self._start()
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Send what is there, for at most FLUSH_SECONDS, and stop the exporters. For the end of the process."""
        if self._thread is None:
            return
        done = threading.Event()
        self._records.put(done)
        done.wait(FLUSH_SECONDS)

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        sdk = self._build()
        while True:
            record = self._records.get()
            if isinstance(record, threading.Event):
                if sdk is not None:
                    sdk.close(FLUSH_SECONDS)
                record.set()
                return
            if sdk is not None:
                sdk.send(record)
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                log.warning("telemetry.dropped", records=dropped)

    def _build(self) -> Sdk | None:
        """Import and set up the SDK; None where that fails: a mail entrance works without telemetry, too."""
        try:
            from ingest.telemetry.sdk import Sdk  # noqa: PLC0415 - the heavy part, behind the first answer

            return Sdk(self._environ)
        except Exception as error:  # noqa: BLE001 - see above
            log.error("telemetry.failed", frames=log.frames(error))
            return None
