"""The queues between the triggers, by name. One that a function gives up on goes to its `-poison` (Functions' word)."""

from __future__ import annotations

MESSAGES = "ingest-messages"
EVENTS = "subscription-events"
