"""The web console of support staff: find a mail, read its history, work on Quarantine, see the entrance's health."""
