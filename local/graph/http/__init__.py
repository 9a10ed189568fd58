"""The HTTP side of the simulator: routes, OData, tokens, faults, throttling, recorded traffic."""
