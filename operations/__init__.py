"""What operators do around the ingest: migrations, tenants, Quarantine, verification. No function reaches it."""
