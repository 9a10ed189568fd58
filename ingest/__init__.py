"""From one Graph message to a tenant's documents: claim, fetch, route, store, clean up."""
