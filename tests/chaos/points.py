"""Every place where a process can die between two steps: before and after each call to Graph, Blob, SQL and queue.

Written down by hand, so that a call which is added to the app without a name here fails a test (test_points.py)
instead of going untested.
"""

_SQL = (
    "claim",
    "renew",
    "resolve_tokens",
    "resolve_addresses",
    "note_passed_over",
    "link",
    "save",
    "recorded_blobs",
    "end",
    "reject",
    "put_off",
    "note_poisoned",
    "enqueue",
    "enqueue_abandoned",
    "outstanding",
    "give_turns",
    "gate_take",
    "gate_wait",
    "gate_offer",
    "gate_give_back",
)
_GRAPH = (
    "get_inbox",
    "get_mime",
    "get_mime.content",
    "locate_message",
    "delete_message",
    "categorise_message",
    "find_folder",
    "create_folder",
    "move_message",
    "list_inbox",
    "list_subscriptions",
    "create_subscription",
    "renew_subscription",
    "delete_subscription",
)
_BLOB = ("put", "put_block", "put_block_list", "properties", "metadata")
_QUEUE = ("get", "put", "delete", "release", "renew", "poison")

CALLS = (
    *(f"sql.{name}" for name in _SQL),
    *(f"graph.{name}" for name in _GRAPH),
    *(f"blob.{name}" for name in _BLOB),
    *(f"queue.{name}" for name in _QUEUE),
)
POINTS = tuple(f"{call} {phase}" for call in CALLS for phase in ("before", "after"))

# Calls of nearly every mail, sweep or look at the subscriptions. A short run kills at these alone: a call that comes by
# once in a thousand mails would make the run wait.
FREQUENT = frozenset(
    {
        *("sql.claim", "sql.resolve_tokens", "sql.save", "sql.end", "sql.enqueue", "sql.outstanding", "sql.gate_take"),
        *("graph.get_mime", "graph.get_mime.content", "graph.delete_message", "graph.categorise_message"),
        *("graph.move_message", "graph.list_inbox", "graph.list_subscriptions", "graph.create_subscription"),
        *("blob.put", "queue.get", "queue.put", "queue.delete"),
    }
)

# Calls of the app in which no process of the chaos suite can die, each with the reason.
ELSEWHERE = {
    "sql.count_defect": "no trouble that the suite makes counts as a defect: each is infrastructure's",
    "sql.admit_sender": "asked of a mail that a person released whose sender was the reason; the suite releases none",
    "sql.count_overrun": "asked of a mail that took eight minutes; the suite has none",
    "graph.list_quarantine": "an operator's command",
    "graph.release_message": "an operator's command",
    "graph.describe_message": "asked of a mail that is given up without a look at its header; the suite has none",
    "sql.note_findings": "the daily examination records its findings; the suite runs none",
    "sql.left": "the daily examination and an operator's command ask, and change nothing",
    "sql.unfinished": "the timer reports it where telemetry is on, and changes nothing",
    "graph.list_junk": "asked where INGEST_SWEEP_JUNK is on; the suite sends no junk",
    "graph.get_junk": "an operator's command, and the daily examination, which changes nothing",
    "graph.get_deleted": "an operator's command, and the daily examination, which changes nothing",
    "graph.list_deleted": "as graph.get_deleted",
    "graph.get_quarantine": "the timer reports it where telemetry is on, and changes nothing",
    "blob.tags": "asked where a scanner writes its verdicts; the suite has none",
    "blob.read": "the operator's command line reads; the hosts only write",
    "graph.mark_read": "asked of a mail whose sender wants a receipt; the suite sends none",
    "graph.get_message": "asked of a mail that Exchange gives no MIME of; the suite sends none",
    "graph.get_message.content": "as graph.get_message",
    "graph.list_attachments": "as graph.get_message, and of a mail with cloud attachments alone",
    "graph.get_attachment": "as graph.get_message",
    "graph.get_attachment.content": "as graph.get_message",
    "sql.wait": "the tenants of the suite stay within their budgets",
}
