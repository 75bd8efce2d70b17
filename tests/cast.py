"""Who is who in the tests.

Alice is engineer of line A, Bob inspects on it, Vera only looks at it; Charlie works on line B and may see
nothing of A; Norah has an account and no role at all; Fay manages the fleet and has no role on any line; Ada is a
superuser.
"""

import io
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from PIL import Image

from aivd_web.bootstrap import ensure_fleet_managers
from aivd_web.kernel.ids import uuid7
from inspections.intake import ingest
from inspections.models import (
    Decision,
    DefectClass,
    Description,
    Detection,
    Frame,
    Inspection,
    Line,
    Membership,
    Site,
    Station,
    Step,
)
from inspections.services import tokens
from inspections.services.bootstrap import add_line
from scheduling.models import Dispatch, Node, ServedModel


@dataclass(frozen=True)
class Cast:
    alice: User
    bob: User
    vera: User
    charlie: User
    norah: User
    fay: User
    ada: User
    line: Line
    other_line: Line
    station: Station
    second_station: Station
    other_station: Station

    @property
    def classes(self) -> dict[str, DefectClass]:
        return {entry.name: entry for entry in DefectClass.objects.filter(line=self.line)}


@pytest.fixture
def cast(db: None, settings: Any, tmp_path_factory: pytest.TempPathFactory) -> Cast:
    """People, two lines and three stations; pictures go to a folder of this test."""
    settings.MEDIA_DIR = tmp_path_factory.mktemp("media")
    return make_cast()


def make_cast() -> Cast:
    plant = Site.objects.create(name="Dresden")
    line, other_line = add_line(site=plant, name="A"), add_line(site=plant, name="B")
    people = {
        name: User.objects.create_user(name, password=f"{name}-password")
        for name in ("alice", "bob", "vera", "charlie", "norah", "fay")
    }
    for name, where, role in (
        ("alice", line, "engineer"),
        ("bob", line, "inspector"),
        ("vera", line, "viewer"),
        ("charlie", other_line, "admin"),
    ):
        Membership.objects.create(user=people[name], line=where, role=role)
    people["fay"].groups.add(ensure_fleet_managers())
    return Cast(
        **people,
        ada=User.objects.create_superuser("ada", password="ada-password"),
        line=line,
        other_line=other_line,
        station=Station.objects.create(line=line, name="Camera 1", product="bare-pcb"),
        second_station=Station.objects.create(line=line, name="Camera 2", product="bare-pcb"),
        other_station=Station.objects.create(line=other_line, name="Camera 9", product="bare-pcb"),
    )


# -- pictures ---------------------------------------------------------------------------------------


def picture(seed: int = 0, *, size_wh: tuple[int, int] = (64, 48), format: str = "JPEG") -> bytes:
    """A small picture; another seed gives other bytes."""
    image = Image.new("RGB", size_wh, (seed * 37 % 256, seed // 7 % 256, 90))
    image.putpixel((0, 0), (seed % 256, seed // 256 % 256, 1))
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue() if format != "JPEG" else buffer.getvalue() + b"" + _mark(seed)


def _mark(seed: int) -> bytes:
    """Bytes after the end of a JPEG, which its decoders pass over: no two seeds give one file."""
    return seed.to_bytes(4, "big")


def add_frame(station: Station, seed: int = 0, **more: Any) -> Frame:
    """A frame that came in by the front door and waits to be detected."""
    return ingest.add_frame(station=station, data=picture(seed), sender="test", **more).frame


def frame_row(station: Station, **more: Any) -> Frame:
    """A frame's rows without a file."""
    values = {
        "id": uuid7(),
        "inspection": Inspection.objects.create(station=station),
        "station": station,
        "line_id": station.line_id,
        "sha256": uuid7().hex * 2,
        "media_type": "image/jpeg",
        "width": 640,
        "height": 640,
        "bytes": 1000,
        "deadline_at": timezone.now(),
    }
    return Frame.objects.create(**values | more)


def detector() -> ServedModel:
    return ServedModel.objects.get_or_create(
        kind="detector", name="yolo26n-pcb", version="1", digest="d" * 64, runtime="openvino"
    )[0]


def describer() -> ServedModel:
    return ServedModel.objects.get_or_create(
        kind="describer", name="aivd-small", version="1", digest="e" * 64, runtime="torch"
    )[0]


def add_detection(frame: Frame, *, name: str = "open", score: float = 0.9, **more: Any) -> Detection:
    values = {
        "frame": frame,
        "index": frame.detections.count(),
        "defect_class": DefectClass.objects.get(line_id=frame.line_id, name=name),
        "x1": 10.0,
        "y1": 12.0,
        "x2": 30.0,
        "y2": 40.0,
        "score": score,
        "counts": score >= 0.5,
        "served_model": detector(),
        "node": "node-edge-1",
    }
    return Detection.objects.create(**values | more)


def add_description(detection: Detection, *, valid: bool = True, **more: Any) -> Description:
    values = {
        "detection": detection,
        "served_model": describer(),
        "node": "node-cloud-1",
        "prompt_version": "1",
        "answer": {"defect_class": detection.defect_class.name, "appearance": "A gap.", "severity": "high"},
        "raw_text": '{"defect_class": "open"}',
        "valid": valid,
        "latency_ms": 80.0,
    }
    return Description.objects.create(**values | more)


def decide(frame: Frame, outcome: str = "fail") -> Decision:
    code = {"pass": "clean", "fail": "defect", "hold": "late"}[outcome]
    now = timezone.now()
    Frame.objects.filter(pk=frame.pk).update(decided_at=now)
    return Decision.objects.create(
        frame=frame, outcome=outcome, code=code, reason="Because.", decided_at=now, latency_ms=40.0
    )


def finished_frame(station: Station, *, regions: int = 2) -> Frame:
    """A complete frame with everything on it."""
    frame = frame_row(station, completed_at=timezone.now())
    for kind in ("detect", "describe"):
        Step.objects.create(frame=frame, kind=kind, state="done", deadline_at=frame.deadline_at, attempts=1)
    for index in range(regions):
        add_description(add_detection(frame, score=0.9 - index / 100))
    decide(frame)
    for model in ("edge_detector", "describer"):
        add_dispatch(frame, model=model)
    return frame


def add_node(name: str = "node-edge-1", **more: Any) -> Node:
    values = {"kind": "edge", "grpc_url": "127.0.0.1:1"}
    return Node.objects.get_or_create(name=name, defaults=values | more)[0]


def add_dispatch(frame: Frame, *, model: str = "edge_detector", **more: Any) -> Dispatch:
    values = {
        "subject": str(frame.pk),
        "scope": frame.station_id,
        "model": model,
        "attempt": 1,
        "node": add_node(),
        "policy": "pct-lb",
        "reason": "Predicted to be done first.",
        "alternatives": [{"node": "node-edge-2", "predicted_ms": 60.0, "why_not": "slower"}],
        "predicted_ms": 41.0,
        "measured_ms": 44.0,
        "sent_at": timezone.now(),
        "outcome": "ok",
    }
    return Dispatch.objects.create(**values | more)


def token_for(line: Line, *scopes: str, station: Station | None = None, by: User | None = None, **more: Any) -> str:
    """The text of a new token."""
    return tokens.issue(name="camera", line=line, station=station, scopes=scopes, by=by, **more).text
