#!/usr/bin/env python
"""Django's command line for AIVD."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aivd_web.settings")
    os.environ.setdefault("AIVD_ROLE", "command")  # as patient as the person who runs it
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
