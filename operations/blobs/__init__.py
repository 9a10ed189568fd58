"""Stored mails and their blobs: proved, derived again, restored, and deleted at the end of their days."""
