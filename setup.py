"""What a wheel of AIVD is made of: our four packages, and in `aivd_web` what has a folder of its own in the clone.

That is the templates, the built front end, and the fault proxy that stands for the way to a far node;
`aivd_web/launcher/source.py` knows both places. Everything else about the package is in pyproject.toml.
"""

import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

TEMPLATES, FRONT_END = "templates", "frontend/dist"
NO_FRONT_END = f"""
    There is no built front end in {FRONT_END}, so this wheel has none: it serves the API and nodes, and no page.
    To have the pages, build it first (`make setup`), or make the wheel with `make wheel`.
"""


class Build(build_py):
    def run(self) -> None:
        if not Path(FRONT_END, "manifest.json").is_file():
            print(NO_FRONT_END, file=sys.stderr)
        super().run()


OURS = ("aivd_web", "finetune", "inspections", "scheduling")
PACKAGES = find_packages(include=[*OURS, *(f"{name}.*" for name in OURS)])
BESIDE = {"aivd_web.templates": TEMPLATES, "aivd_web.front_end": FRONT_END, "aivd_web.linkfault": "tools/linkfault"}
FOUND = {name: folder for name, folder in BESIDE.items() if Path(folder).is_dir()}

setup(
    packages=[*PACKAGES, *FOUND],
    package_dir=FOUND,
    package_data={
        "aivd_web": ["static/**/*"],
        "finetune.training": ["*.yaml"],
        "scheduling.serving": ["model_repository/**/*", "weights/**/*"],
        **{name: ["**/*"] for name in FOUND},
    },
    exclude_package_data={"": ["**/__pycache__/*", "*.pyc", ".*.stamp"]},
    cmdclass={"build_py": Build},
)
