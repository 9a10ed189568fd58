"""The page for people: find a mail, read its history, work on Quarantine, see the entrance's health."""
