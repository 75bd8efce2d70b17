"""Run several checks one after the other, all of them even if one fails, and say which failed.

`python scripts/run_all.py "name:command with arguments" ...`; exits 0 only if every one did.
"""

import shlex
import subprocess
import sys
import time


def main(checks: list[str]) -> int:
    failed = []
    for check in checks:
        name, _, command = check.partition(":")
        print(f"--- {name}", flush=True)
        began = time.monotonic()
        status = subprocess.run(shlex.split(command), check=False).returncode
        print(f"--- {name}: {'passed' if status == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
        failed += [name] if status else []
    if failed:
        print(f"Failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
