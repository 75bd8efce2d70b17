"""How a run ends: its exit code, and its last event, which says why in a sentence."""

from collections.abc import Callable
from typing import Final

from finetune.training.events import EventLog
from finetune.training.faults import Cancelled, TrainingFault
from scheduling.serving.detectors.model_file import BadModel
from scheduling.serving.model_folder import RefusedFiles

DONE: Final = 0
FAILED: Final = 1
CANCELLED: Final = 3


def exit_code_of(events: EventLog, act: Callable[[], None]) -> int:
    """The exit code of `act`; what ended it early is the last event."""
    try:
        act()
    except Cancelled as ended:
        events.say("cancelled", sentence=f"{ended} Its checkpoint is kept; starting it again goes on from there.")
        return CANCELLED
    except (TrainingFault, OSError, MemoryError, RuntimeError, RefusedFiles, BadModel) as error:
        code, sentence, hint = reason_of(error)
        events.say("failed", code=code, sentence=sentence, hint=hint)
        return FAILED
    return DONE


def reason_of(error: Exception) -> tuple[str, str, str]:
    """What ended a run, as code, sentence and hint."""
    if isinstance(error, TrainingFault):
        return error.code, error.sentence, error.hint
    if isinstance(error, RefusedFiles):
        return "refused_weights", str(error), "Use safetensors weights of a family that the describer door knows."
    text = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
    if isinstance(error, OSError) and error.errno == 28:
        return "disk_full", "The disk is full.", "Make room and start the run again: it goes on from its checkpoint."
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate" in text.lower():
        return "out_of_memory", f"The memory did not suffice: {text}.", "Use a smaller batch or a smaller base."
    if "cuda" in text.lower():
        return "gpu_lost", f"The GPU failed: {text}.", "Look at the driver; starting again goes on from the checkpoint."
    return "failed", f"{type(error).__name__}: {text}.", "The log has more."
