"""Postgres and Blob Storage: the only importer of psycopg and azure.storage.blob."""
