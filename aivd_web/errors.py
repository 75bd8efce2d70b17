"""The one place where an error becomes an answer: `{code, detail, hint}` for programs, a page for people."""

import logging
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string
from django_vite.core.exceptions import DjangoViteAssetNotFoundError, DjangoViteManifestError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from aivd_web.kernel.database import is_about_data, is_away, is_busy
from aivd_web.kernel.errors import AivdError, Forbidden, NotFound, Unavailable
from aivd_web.launcher import source

log = logging.getLogger(__name__)

SIGN_IN_HINT = "Sign in, or send 'Authorization: Bearer <token>'."
HINTS = {
    "not_authenticated": SIGN_IN_HINT,
    "authentication_failed": SIGN_IN_HINT,
    "csrf_failed": "Reload the page and try again; scripts should use a token.",
    "parse_error": "Send valid JSON.",
    "invalid": "Correct the fields that are named and send it again.",
    "method_not_allowed": "See /api/docs/ for what this address takes.",
    "not_acceptable": "Ask for application/json.",
    "unsupported_media_type": "See /api/docs/ for the types this address takes.",
    "throttled": "Wait and try again.",
}
PLAIN_MESSAGES = {
    404: NotFound("There is nothing here, or nothing that you may see.", hint="Check the address."),
    403: Forbidden("This is not allowed."),
}


class OverFormCap(AivdError):
    status = 413
    hint = "Send fewer pictures at once, or a zip of them."


FORM_CAPS: dict[type[BaseException], tuple[str, str]] = {
    TooManyFilesSent: ("too_many_files", "The form holds more files than are taken in at once."),
    TooManyFieldsSent: ("too_many_fields", "The form holds more fields than are taken in at once."),
    RequestDataTooBig: ("fields_too_large", "The form's text is larger than is taken in."),
}


class InternalError(AivdError):
    code = "internal_error"
    status = 500
    hint = "It has been logged. Try again; if it stays, tell an admin what you did and when."


class Unstorable(AivdError):
    """Doors name what is wrong with a field; this is what they all let through."""

    code = "unstorable"
    status = 422
    hint = "Send plain text without control characters, and times and numbers in their usual range."


NO_MANIFEST = (DjangoViteManifestError, DjangoViteAssetNotFoundError)


class NoFrontEnd(AivdError):
    code = "no_front_end"
    status = 503
    hint = source.GET_FRONT_END


class CsrfFailed(Forbidden):
    code = "csrf_failed"
    hint = HINTS["csrf_failed"]


def api_error(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. Returns None (which lets Django log and answer 500) for what nobody foresaw."""
    error = as_aivd_error(exc)
    if error is not None:
        body, status, retry_after_s = error.as_dict(), error.status, error.retry_after_s
    elif isinstance(exc, exceptions.APIException):
        body, status, retry_after_s = _body_of(exc), exc.status_code, _wait_of(exc)
    else:
        return None
    set_rollback()
    response = Response(body, status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="aivd"'
    if retry_after_s is not None:
        response["Retry-After"] = str(retry_after_s)
    return response


def as_aivd_error(exc: BaseException) -> AivdError | None:
    """`exc` in our own words, if it is one of the errors that are expected to happen."""
    if isinstance(exc, AivdError):
        return exc
    if is_away(exc):
        log.warning("The database did not answer: %s", type(exc).__name__)
        said = "The database is busy." if is_busy(exc) else "The database is not reachable."
        return Unavailable(said, hint="Try again in a moment.", retry_after_s=2)
    if is_about_data(exc) or isinstance(exc, IntegrityError):
        log.error("A value cannot be stored or read", exc_info=exc)
        return Unstorable("This holds a value that cannot be stored or read.")
    if type(exc) in FORM_CAPS:
        return _over_form_cap(*FORM_CAPS[type(exc)])
    return _refusal(exc)


def _refusal(exc: BaseException) -> AivdError | None:
    if isinstance(exc, NO_MANIFEST) and not source.has_front_end():
        return NoFrontEnd(source.NO_FRONT_END)
    if isinstance(exc, Http404):
        return PLAIN_MESSAGES[404]
    if isinstance(exc, PermissionDenied):
        return PLAIN_MESSAGES[403]
    if isinstance(exc, exceptions.PermissionDenied) and "CSRF" in str(exc.detail):
        return CsrfFailed("The CSRF check failed.")
    return None


def _over_form_cap(code: str, detail: str) -> AivdError:
    error = OverFormCap(detail)
    error.code = code
    return error


def _body_of(exc: exceptions.APIException) -> dict[str, Any]:
    if isinstance(exc, exceptions.ValidationError):
        fields = _fields_of(exc.detail)
        return {"code": "invalid", "detail": _sentence(fields), "hint": HINTS["invalid"], "fields": fields}
    codes = exc.get_codes()
    code = codes if isinstance(codes, str) else exc.default_code
    return {"code": code, "detail": str(exc.detail), "hint": HINTS.get(code, "")}


def _fields_of(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Flatten DRF's nested errors: `{"marks.0.box_xyxy": ["..."]}`."""
    if isinstance(detail, dict):
        pairs = [(f"{path}.{key}" if path else str(key), value) for key, value in detail.items()]
    elif detail and isinstance(detail[0], dict | list):
        pairs = [(f"{path}.{index}" if path else str(index), value) for index, value in enumerate(detail)]
    else:
        return {path or "body": [str(item) for item in detail]}
    return {name: texts for key, value in pairs if value for name, texts in _fields_of(value, key).items()}


def _sentence(fields: dict[str, list[str]]) -> str:
    return " ".join(f"{name}: {' '.join(texts)}" for name, texts in fields.items())


def _wait_of(exc: exceptions.APIException) -> int | None:
    wait = getattr(exc, "wait", None)
    return None if wait is None else max(1, int(wait))


# -- what is answered outside of DRF ----------------------------------------------------------------


class ExpectedErrors:
    """Middleware: an expected error of a page becomes an answer with its status, as those of the API do."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Django's own (404, 403) have their handlers; what nobody foresaw is a 500 and is logged."""
        if isinstance(exception, Http404 | PermissionDenied):
            return None
        error = as_aivd_error(exception)
        return None if error is None else _answer(request, error)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, PLAIN_MESSAGES[404])


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, PLAIN_MESSAGES[403])


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    known = as_aivd_error(exception) if exception is not None else None
    plain = AivdError("The request is not understood.", hint="Check the address and its headers.")
    return _answer(request, known or plain)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(request, CsrfFailed("The CSRF check failed."))


def server_error(request: HttpRequest) -> HttpResponse:
    """Django calls it while it handles the error: a database that is away or busy is no fault of ours to log as one."""
    error = sys.exc_info()[1]
    known = as_aivd_error(error) if error is not None else None
    return _answer(request, known or InternalError("Something went wrong on our side."))


def _answer(request: HttpRequest, error: AivdError) -> HttpResponse:
    response = _said(request, error)
    if error.retry_after_s is not None:
        response["Retry-After"] = str(error.retry_after_s)
    return response


def _said(request: HttpRequest, error: AivdError) -> HttpResponse:
    """JSON for the API and for whoever asks for it; else a page, which must not need the database."""
    if request.path.startswith(("/api/", "/health")) or "text/html" not in request.headers.get("Accept", ""):
        return JsonResponse(error.as_dict(), status=error.status)
    try:
        page = render_to_string("error.html", {"error": error, "theme": request.COOKIES.get("aivd_theme")})
    except (TemplateDoesNotExist, *NO_MANIFEST):
        return HttpResponse(f"{error.detail} {error.hint}", status=error.status, content_type="text/plain")
    return HttpResponse(page, status=error.status)
