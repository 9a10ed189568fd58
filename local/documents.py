"""The documents that the running stack has stored, as a table at the terminal."""

import json
from pathlib import Path

import psycopg
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from local.terminal import console

_LATEST = 50
# As the owner, who sees every tenant.
_QUERY = """
SELECT document.created_at, tenant.name, message.subject, document.name, document.size, document.blob_name
FROM ingest.document
JOIN ingest.message ON message.id = document.message_id
JOIN dms_tenant AS tenant ON tenant.id = document.tenant_id
ORDER BY document.created_at DESC, document.id LIMIT %s
"""


def show_documents(data: Path) -> int:
    """Print the latest documents of the stack that runs on the directory `data`; the exit code."""
    try:
        url = json.loads((data / "stack.json").read_text("utf-8"))["owner_database_url"]
        with psycopg.connect(url) as connection:
            rows = connection.execute(_QUERY, [_LATEST]).fetchall()
    except (FileNotFoundError, psycopg.OperationalError):
        console.print(f"No stack is running on {data}. Start it with: make up")
        return 1
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("Stored", "Tenant", "Mail", "Document", "Bytes", "Blob"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "Bytes" else "left")
    for created, tenant, subject, name, size, blob in rows:
        table.add_row(f"{created:%H:%M:%S}", escape(tenant), escape(subject), escape(name), f"{size:,}", escape(blob))
    console.print(table)
    console.print(f"{len(rows)} documents{', the latest only' if len(rows) == _LATEST else ''}.")
    return 0
