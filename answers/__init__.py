"""Answers to senders: worked off behind the mails, so that no answer delays or repeats an ingest."""
