"""The queues between the triggers, by name. Functions moves a message that it gives up on to the queue's `-poison`."""

from __future__ import annotations

MESSAGES = "ingest-messages"  # what Graph has announced
BACKLOG = "ingest-backlog"  # what the sweep has found: a queue of its own, so that new mail does not stand behind it
EVENTS = "subscription-events"
SCAN_RESULTS = "scan-results"  # what Defender for Storage says of blobs, by Event Grid
