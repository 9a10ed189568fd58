"""The operators' side of the ingest: migrations, tenants, Quarantine, verification. No function reaches it."""
