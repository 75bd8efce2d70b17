"""What ends a training run early, each with a code, a sentence that names the thing, and what to do about it."""


class TrainingFault(Exception):
    """A run cannot start or go on. `code` is for programs, `sentence` and `hint` for people."""

    def __init__(self, code: str, sentence: str, hint: str) -> None:
        super().__init__(f"{sentence} {hint}")
        self.code, self.sentence, self.hint = code, sentence, hint


class Cancelled(Exception):
    """Somebody asked the run to stop; its checkpoint is written."""
