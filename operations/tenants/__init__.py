"""Tenants as operators set them up: tokens and addresses, allowed senders, answers to senders."""
