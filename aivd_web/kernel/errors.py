"""The base of every error a person or a machine is shown. Knows nothing of HTTP beyond a status number."""


class AivdError(Exception):
    """Something the caller can act on: what went wrong (`detail`), what to do (`hint`), and a stable `code`.

    `status` is the HTTP status that the API gives; `retry_after_s` becomes a Retry-After header.
    """

    code = "error"
    status = 400
    hint = ""

    def __init__(self, detail: str, *, hint: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint or self.hint
        self.retry_after_s = retry_after_s

    def as_dict(self) -> dict[str, str | int]:
        body: dict[str, str | int] = {"code": self.code, "detail": self.detail, "hint": self.hint}
        if self.retry_after_s is not None:
            body["retry_after_s"] = self.retry_after_s
        return body


class NotFound(AivdError):
    code = "not_found"
    status = 404


class Forbidden(AivdError):
    code = "forbidden"
    status = 403
    hint = "Ask an admin of this line for the role that allows it."


class Conflict(AivdError):
    code = "conflict"
    status = 409


class Unprocessable(AivdError):
    code = "unprocessable"
    status = 422


class Unavailable(AivdError):
    code = "unavailable"
    status = 503
