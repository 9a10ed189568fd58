"""The migrations of Django so far."""
