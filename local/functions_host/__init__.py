"""A stand-in for `func start` around Microsoft's own Python worker: see README.md for what is real in it."""
