"""What can be wrong with something that arrives. The texts are part of the interface and are tested."""

from aivd_web.kernel.errors import AivdError


class IngestError(AivdError):
    """A picture that was not taken in; nothing of it is stored."""


class EmptyBody(IngestError):
    code = "empty_body"
    hint = "Send the picture's bytes as the body, or as the multipart field 'file'."


class NotAPicture(IngestError):
    code = "not_a_picture"
    status = 415
    hint = "Send a JPEG, PNG, WebP, TIFF or BMP picture."


class BrokenPicture(IngestError):
    code = "broken_picture"
    status = 422
    hint = "The file ends early or is damaged; save it again and send it once more."


class PictureTooLarge(IngestError):
    code = "picture_too_large"
    status = 413
    hint = "Send a smaller picture, or cut it into several frames."


class NotTakenIn(IngestError):
    """An error that no check foresaw: told for the picture that met it, logged in full."""

    code = "not_taken_in"
    status = 422
    hint = "Save the picture anew, for example as PNG, and send it again; an admin finds the cause in the log."


class SeveralPictures(IngestError):
    code = "several_pictures"
    status = 422
    hint = "Send each page or animation frame as a picture of its own."


class UnsupportedSamples(IngestError):
    code = "unsupported_samples"
    status = 422
    hint = "Save it with 8 bits, or with 16-bit unsigned values as grey or RGB, in a PNG or TIFF."


class InvisiblePicture(IngestError):
    code = "invisible_picture"
    status = 422
    hint = "Save it without transparency."


class UnscaledPicture(IngestError):
    code = "unscaled"
    status = 422
    hint = "Set the station's bit depth to what its camera uses, or send a picture of 8 bits."


class PictureTooCostly(IngestError):
    code = "picture_too_costly"
    status = 422
    hint = "Save it anew, a JPEG as baseline and not progressive, or send a smaller picture."


class DecoderBusy(IngestError):
    code = "decoder_busy"
    status = 503
    hint = "Send again after the time in Retry-After; nothing of this request was kept."


class IdempotencyConflict(IngestError):
    code = "idempotency_conflict"
    status = 422
    hint = "Use a new Idempotency-Key for a new picture."


class Overloaded(IngestError):
    code = "overloaded"
    status = 429
    hint = "Send again after the time in Retry-After; nothing of this request was kept."


class StorageFull(IngestError):
    code = "storage_full"
    status = 503
    hint = "The picture store has no room; an admin has to free some. Nothing of this request was kept."
