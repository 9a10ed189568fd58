"""The queues between the triggers, by name. Functions moves a message that it gives up on to the queue's `-poison`."""

from __future__ import annotations

MESSAGES = "ingest-messages"
EVENTS = "subscription-events"
