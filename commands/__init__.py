"""The operator's command line: one module a command, or a group of them; `commands.app` puts them together.

A new command is a function in the module of its group. It prints through `commands.output`, raises an IngestError
with the one line that the operator reads, and ends with `typer.Exit(1)` where it found something wrong.
Stands outside of `ingest` because it also sees `subscriptions`. Never imported by the running app.
"""
