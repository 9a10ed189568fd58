"""The values that travel between modules: frozen, keyword-only, no I/O."""
