"""Where our own files lie and how our commands are called: in a clone, or in an environment a wheel was installed into.

Knows no Django and nothing of what is run.
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
HOME = PACKAGE.parent
"""The folder that holds our packages: the clone's own, or site-packages."""

IS_CLONE = (HOME / "manage.py").is_file()
TEMPLATES = HOME / "templates" if IS_CLONE else PACKAGE / "templates"
LINK_FAULT = "tools.linkfault" if IS_CLONE else "aivd_web.linkfault"
FRONT_END = HOME / "frontend" / "dist" if IS_CLONE else PACKAGE / "front_end"

NO_FRONT_END = "The pages are not here: this installation has no built front end. The API and the nodes work."
GET_FRONT_END = (
    "Run make setup." if IS_CLONE else "Install a wheel that holds it: make wheel, in a clone, makes one with it."
)
STATIC_OF = ("django", "djangorestframework", "drf-spectacular-sidecar", "django-vite", "aivd")
"""The packages that bring static files of their own."""


def has_front_end() -> bool:
    return (FRONT_END / "manifest.json").is_file()


def manage(*command: str) -> list[str]:
    """A management command as a process: it runs in any folder where our packages can be imported."""
    return [sys.executable, "-m", "aivd_web", *command]


def says(command: str) -> str:
    """What a person types for it."""
    return f"make {command}" if IS_CLONE else f"aivd {'up' if command == 'run' else command}"


def install(extra: str) -> str:
    """What a person types to have the packages of an extra."""
    return "make setup" if IS_CLONE else f"pip install 'aivd[{extra}]'"


def versions() -> list[str]:
    """Of the packages that bring static files, for whoever has to know whether these have changed."""
    return [f"{name} {_version(name)}" for name in STATIC_OF]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
