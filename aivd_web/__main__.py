"""Django's command line for AIVD: `aivd` where it was installed, `manage.py` in a clone."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aivd_web.settings")
    os.environ.setdefault("AIVD_ROLE", "command")  # as patient as the person who runs it
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        if error.name not in ("django", "django.core"):
            raise
        sys.exit("The site needs packages that are not installed here: pip install 'aivd[web]'")
    from django.core.exceptions import ImproperlyConfigured

    from aivd_web.launcher.layout import LayoutError

    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, LayoutError) as error:
        sys.exit(f"AIVD is not set up. {error}")


if __name__ == "__main__":
    main()
