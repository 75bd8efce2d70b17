"""The registry: every stage of a Frame's way, in its order. A new one is a file in this folder and a line here."""

from inspections.pipeline.stage import Stages

from .describe import DescribeStage
from .describe_sure import DescribeSureStage
from .detect import DetectStage
from .shadow import ShadowStage

STAGES = Stages(
    DetectStage(),
    DescribeStage(),
    DescribeSureStage(),
    ShadowStage(),
)
