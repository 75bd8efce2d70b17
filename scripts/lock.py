"""Print the exact versions in the running environment, as constraints for the next one.

A version's local part (torch's `+cpu`) is left out: it names a build, and which build fits is the machine's matter.
"""

import re
from importlib.metadata import distributions

SKIPPED = {"aivd", "pip", "wheel"}


def pins() -> list[str]:
    found = {
        re.sub(r"[-_.]+", "-", dist.metadata["Name"]).lower(): dist.version.partition("+")[0]
        for dist in distributions()
    }
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name not in SKIPPED]


if __name__ == "__main__":
    print(
        "# Exact versions of every package, written by `make lock`. They are constraints: alone they install nothing."
    )
    print("\n".join(pins()))
