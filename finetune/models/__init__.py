"""Tables of the finetune app."""

from .dataset import Dataset, DatasetItem, DatasetVersion, ImportJob, ImportTrouble, ItemRegion
from .registry import ModelVersion, Promotion, ServingChoice, ShadowTrial
from .run import FineTuneRun, GateThresholds, Recipe, RunEvent, RunPreview
from .work import State

__all__ = [
    "Dataset",
    "DatasetItem",
    "DatasetVersion",
    "FineTuneRun",
    "GateThresholds",
    "ImportJob",
    "ImportTrouble",
    "ItemRegion",
    "ModelVersion",
    "Promotion",
    "Recipe",
    "RunEvent",
    "RunPreview",
    "ServingChoice",
    "ShadowTrial",
    "State",
]
