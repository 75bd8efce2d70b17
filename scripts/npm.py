"""Run npm in frontend/ with the Node.js that setup chose: `python scripts/npm.py run test`."""

import subprocess
import sys
from pathlib import Path

import setup


def main() -> int:
    npm, environment = setup.find_npm(Path(sys.executable))
    setup.install_front_end(npm, environment)
    return subprocess.run([*npm, *sys.argv[1:]], cwd=setup.FRONTEND, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
