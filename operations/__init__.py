"""What operators do around the ingest: migrations, tenants, Quarantine, checks. No function in Azure reaches it."""
