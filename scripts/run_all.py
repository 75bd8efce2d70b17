"""Run several checks, all of them even if one fails, and say which failed.

`python scripts/run_all.py "name:command with arguments" ... [-- "name:command" ...]`; exits 0 only if every one did.
Those before `--` run two at a time, each shown whole when it has ended; those after it one after the other, as
they go.
"""

import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

AT_ONCE = 2
_printing = Lock()


def main(arguments: list[str]) -> int:
    split = arguments.index("--") if "--" in arguments else len(arguments)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failed = list(filter(None, pool.map(aside, arguments[:split])))
    failed += filter(None, map(in_sight, arguments[split + 1 :]))
    if failed:
        print(f"Failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def aside(check: str) -> str:
    """The check's name if it failed, else nothing. What it said is shown when it has ended."""
    name, _, command = check.partition(":")
    began = time.monotonic()
    done = subprocess.run(shlex.split(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    with _printing:
        print(f"--- {name}", flush=True)
        sys.stdout.buffer.write(done.stdout)
        sys.stdout.buffer.flush()
        return _said(name, done.returncode, began)


def in_sight(check: str) -> str:
    name, _, command = check.partition(":")
    print(f"--- {name}", flush=True)
    began = time.monotonic()
    return _said(name, subprocess.run(shlex.split(command), check=False).returncode, began)


def _said(name: str, status: int, began: float) -> str:
    print(f"--- {name}: {'passed' if status == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
    return name if status else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
