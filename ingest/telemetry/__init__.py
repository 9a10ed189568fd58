"""Traces and metrics, made from the log events and the I/O spans that the app has anyway."""
