"""What Django has migrated so far."""
