"""Subscriptions of the simulator, and the notifications that they send."""
