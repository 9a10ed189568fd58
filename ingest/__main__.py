"""`python -m ingest …`: the operator's command line, in `commands`."""

from commands.app import exit_with_code

if __name__ == "__main__":
    exit_with_code()
