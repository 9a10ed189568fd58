"""Unpackers of containers, one module each: attached mails, Outlook messages, zip archives, winmail.dat, signed mails.

Each unpacker reads from an open file without taking the file into memory, and lists the members before any of them
is expanded. Each raises PartRejected only: `too_many`, or `unreadable` for a broken file.
"""
