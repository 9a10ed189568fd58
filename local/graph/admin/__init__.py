"""The simulator's admin interface: server and client."""
