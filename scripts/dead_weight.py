"""Name what nothing in this repository calls or reads: vulture, without what others find by its name.

`python scripts/dead_weight.py`; exits 1 where something is left. A name that belongs to somebody else goes into
`CALLED`, with who calls it. `--without-tests` names what only tests use as well; it is for reading, not for a gate.
"""

import sys
from fnmatch import fnmatchcase
from pathlib import Path

from vulture import Vulture
from vulture.core import Item

ROOT = Path(__file__).resolve().parents[1]
CODE = ("aivd_web", "finetune", "inspections", "scheduling", "tools", "benchmarks")
TESTS = ("tests", "scripts", "manage.py")
DECORATED = [
    "@pytest.fixture*", "@pytest.hookimpl*", "@rule*", "@invariant*", "@admin.*", "@*.connect", "@shared_task*",
    "@schemathesis.hook*",
]  # fmt: skip

CALLED = {
    "Django": (
        "*Config", "*Admin", "Command", "add_arguments", "handle", "Meta", "urlpatterns", "handler[0-9]*", "db_for_*",
        "allow_*", "process_exception", "has_*permission", "get_*", "lookups", "clean_*", "threshold_fields",
        "receive_data_chunk", "file_complete", "seekable", "readinto", "is_anonymous", "is_staff", "output_field",
        "default_auto_field", "*_capable",
    ),
    "our settings": (
        "ExpectedErrors", "ContentSecurityPolicy", "ReadsRouter", "Bounded*", "MaximumLengthValidator", "JsonForAll",
        "not_found", "forbidden", "bad_request", "server_error", "csrf_failure", "api_error", "harden_runtime",
    ),
    "REST framework and drf-spectacular": ("to_representation", "authenticate_header", "TokenScheme"),
    "channels, uvicorn and websockets": ("channel_layer_alias", "handle_cont", "handle_text", "handle_bytes"),
    "Triton's Python backend": ("initialize", "finalize"),
    "pytest, xdist, hypothesis and http.server": (
        "pytest*", "django_db_*", "_split_scope", "teardown", "do_[A-Z]*", "log_message", "daemon_threads",
    ),
    "whoever goes through the fields by name": ("joint", "decode_ms", "p95_ms", "class_accuracy", "json_valid",
                                       "map_iou33", "map50_95", "*_called_*", "live_latency_ms"),
    "a child process, by its text": ("bare_loop",),
    "nobody yet: it waits for the page or the setting that offers it": (
        "longest_floor_s", "preview", "detected_places", "read_report",
    ),
}  # fmt: skip
READ_BY_NAME = ("*/settings/*", "*/models/*", "*/models.py", "*/api/*", "*/management/*", "*/admin.py", "*/forms.py",
                "*/pages.py", "tests/settings.py", "tests/no_database.py")  # fmt: skip
"""Files whose class attributes and constants a framework reads."""


def found(paths: tuple[str, ...]) -> list[Item]:
    vulture = Vulture(ignore_names=[name for names in CALLED.values() for name in names], ignore_decorators=DECORATED)
    vulture.scavenge([str(ROOT / path) for path in paths], exclude=["*/migrations/*"])
    return [item for item in vulture.get_unused_code(sort_by_size=False) if is_ours(item)]


def is_ours(item: Item) -> bool:
    """An attribute is set on somebody else's object, an argument may be a pytest fixture."""
    if item.typ == "attribute" or (item.typ == "variable" and item.confidence == 100):
        return False
    name = item.filename.relative_to(ROOT).as_posix()
    return item.typ != "variable" or not any(fnmatchcase(name, pattern) for pattern in READ_BY_NAME)


def main(arguments: list[str]) -> int:
    left = found(CODE if "--without-tests" in arguments else CODE + TESTS)
    for item in left:
        print(f"{item.filename.relative_to(ROOT)}:{item.first_lineno}: nothing uses the {item.typ} {item.name!r}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
