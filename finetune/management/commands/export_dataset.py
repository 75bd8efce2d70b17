"""`manage.py export_dataset VERSION FORMAT PATH`: write a sealed version out into a new folder."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aivd_web.kernel.errors import AivdError
from finetune.datasets import exporting
from finetune.datasets.formats import FORMATS
from finetune.models import DatasetVersion


class Command(BaseCommand):
    help = "Write a sealed version of a dataset out"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("version", type=int, help="id of the sealed version")
        parser.add_argument("format", choices=list(FORMATS))
        parser.add_argument("path", type=Path, help="a new folder")

    def handle(self, *, version: int, format: str, path: Path, **_: Any) -> None:
        found = DatasetVersion.objects.filter(pk=version).first()
        if found is None:
            raise CommandError(f"There is no sealed version {version}.", returncode=2)
        try:
            count = exporting.export(version=found, format=format, out=path)
        except AivdError as error:
            raise CommandError(f"{error.detail} {error.hint}", returncode=2) from None
        self.stdout.write(f"{count} frames in {path}")
