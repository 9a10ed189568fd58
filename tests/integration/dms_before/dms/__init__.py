"""The DMS, as far as this app meets it."""
