"""`manage.py import_dataset FORMAT PATH`: bring a folder of pictures and labels into a dataset, with progress.

Ends with 0 where everything came in, 1 where something could not be taken in (it is listed), 2 where nothing could be
read. Started again with the same dataset name it goes on where it was stopped.
"""

import json
import sys
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from aivd_web.kernel.errors import AivdError
from finetune.datasets import importing, services
from finetune.datasets.formats import FORMATS
from finetune.datasets.importing import ImportOptions
from finetune.models import Dataset, ImportJob, State
from inspections.models import Line

SHOW_EVERY_S = 2.0
TROUBLES_SHOWN = 50


class Command(BaseCommand):
    help = "Bring a folder of pictures and labels into a dataset"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("format", choices=list(FORMATS))
        parser.add_argument("path", type=Path, help="the folder with pictures and labels")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--line", type=int, help="id of the line that it belongs to")
        where.add_argument("--new-line", metavar="SITE/LINE", help="make this line, with the classes of the labels")
        parser.add_argument("--product", default="", help="what the pictures show, as stations name it")
        parser.add_argument("--dataset", help="its name; the folder's where it is left out")
        parser.add_argument("--unlabelled", choices=("good", "skip"), default="", help="pictures without labels")
        parser.add_argument("--add-classes", action="store_true", help="names the line does not know become classes")
        parser.add_argument("--group", default="", help=r"pattern whose bracket stays in one split: '^(\d{5})'")

    def handle(self, *, path: Path, **asked: Any) -> None:
        options = ImportOptions(asked["unlabelled"], asked["add_classes"], asked["group"])
        name = asked["dataset"] or path.resolve().name
        try:
            options.check()
            dataset = self._dataset(path, name, asked, options)
            job = self._job(dataset, asked["format"], path, options)
            self._carry_out(job)
        except AivdError as error:
            raise CommandError(f"{error.detail} {error.hint}", returncode=2) from None
        job.refresh_from_db()
        self._tell(job)

    def _dataset(self, path: Path, name: str, asked: dict[str, Any], options: ImportOptions) -> Dataset:
        if asked["new_line"]:
            return self._of_new_line(path, name, asked, options)
        line = Line.objects.filter(pk=asked["line"]).first()
        if line is None:
            raise CommandError(f"There is no line {asked['line']}.", returncode=2)
        found = Dataset.objects.filter(line=line, name=name).first()
        return found or services.make(line=line, name=name, product=asked["product"], by="import_dataset")

    def _of_new_line(self, path: Path, name: str, asked: dict[str, Any], options: ImportOptions) -> Dataset:
        """The line, its station and its classes, by what the labels hold; one that is there already is used."""
        site, _, line = asked["new_line"].partition("/")
        if not (site and line):
            raise CommandError("Write --new-line as SITE/LINE.", returncode=2)
        known = Dataset.objects.filter(line__site__name=site, line__name=line, name=name).first()
        if known is not None:
            return known
        by = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
        if by is None:
            raise CommandError("There is no superuser yet; run 'manage.py prepare' first.", returncode=2)
        classes = list(importing.survey(format=asked["format"], folder=path, options=options).regions)
        return importing.new_line(
            site=site, name=line, product=asked["product"] or name, classes=classes, dataset=name, by=by
        )

    def _job(self, dataset: Dataset, format: str, path: Path, options: ImportOptions) -> ImportJob:
        """The one that was stopped before its end, or a new one."""
        stopped = dataset.imports.filter(
            source=str(path.resolve()), format=format, state__in=(State.QUEUED, State.PAUSED, State.FAILED)
        ).first()
        if stopped is not None:
            ImportJob.objects.filter(pk=stopped.pk).update(state=State.QUEUED, attempts=0, error_code="")
            return stopped
        return importing.from_folder(dataset=dataset, format=format, folder=path, options=options, by="import_dataset")

    def _carry_out(self, job: ImportJob) -> None:
        done = threading.Event()
        watch = threading.Thread(target=self._show, args=(job.pk, done), daemon=True)
        watch.start()
        try:
            if importing.carry_out(job.pk) is None:
                raise CommandError("A worker has taken the import over; follow it on the page.", returncode=2)
        finally:
            done.set()
            watch.join()

    def _show(self, job_id: int, done: threading.Event) -> None:
        """How far it is, on a line of its own that the next one replaces."""
        try:
            while not done.wait(SHOW_EVERY_S):
                job = ImportJob.objects.get(pk=job_id)
                self.stderr.write(f"\r{job.done} of {job.total}, {job.troubles_count} troubles", ending="")
        finally:
            connection.close()

    def _tell(self, job: ImportJob) -> None:
        for one in job.troubles.all()[:TROUBLES_SHOWN]:
            line = f":{one.line}" if one.line else ""
            self.stderr.write(f"{one.file}{line}: {one.detail} {one.hint}")
        if job.troubles_count > TROUBLES_SHOWN:
            self.stderr.write(f"... and {job.troubles_count - TROUBLES_SHOWN} more; see the dataset's page.")
        if job.state != State.SUCCEEDED:
            raise CommandError(f"{job.error_detail or job.state} {job.error_hint}", returncode=2)
        keys = ("total", "done", "taken", "troubles_count")
        summary = {"dataset": job.dataset_id, "state": job.state, **{key: getattr(job, key) for key in keys}}
        self.stdout.write(json.dumps(summary))
        if job.troubles_count:
            sys.exit(1)
