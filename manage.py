#!/usr/bin/env python
"""The operator's command line: `manage.py help` lists the commands."""

import gc
import os
import sys

INTERRUPTED = 130  # as shells have it


def main() -> None:
    """Do what the arguments say."""
    # Imported here: somebody may press Ctrl-C meanwhile.
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lucid_sessions.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    # Imports make no garbage, and looking for it among them is a fifth of a command's start.
    gc.set_threshold(20_000, 10, 10)
    # Whoever reads through a pipe (a service manager's log, `make run | tee`) sees each line as it is said.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is the real one here
    try:
        main()
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)
