"""Mails as operators look after them: found, shown, handed over, released, ingested."""
