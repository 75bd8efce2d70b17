"""Whether somebody may send a large body, asked before a byte of it is read. The view asks again, and for more."""

import re
from typing import Any

from aivd_web.body_cap import Scope
from aivd_web.errors import SIGN_IN_HINT, as_aivd_error
from aivd_web.kernel.database import is_away
from aivd_web.kernel.errors import AivdError
from aivd_web.kernel.threads import in_thread
from aivd_web.sockets import header, session_user, token_in
from inspections import rules
from inspections.rules import Action, Principal, TokenPrincipal
from inspections.services import tokens

UPLOADS = re.compile(r"/api/v1/stations/(\d{1,18})/frames")
TEMPLATES = re.compile(r"/api/v1/stations/(\d{1,18})/template")
ACTIONS = {UPLOADS: Action.UPLOAD, TEMPLATES: Action.CONFIGURE}


class NotSignedIn(AivdError):
    code = "not_authenticated"
    status = 401
    hint = SIGN_IN_HINT


async def refusal_of(scope: Scope) -> AivdError | None:
    """401, 403 or 404 where the request's sender may not upload there; None where nothing speaks against it."""
    for pattern, action in ACTIONS.items():
        if match := pattern.fullmatch(scope["path"]):
            return await in_thread(_refusal, scope, int(match[1]), action)
    return None


def _refusal(scope: Any, station_id: int, action: Action) -> AivdError | None:
    try:
        rules.get(rules.stations, _sender(scope), station_id, action)
    except Exception as error:
        if isinstance(error, AivdError) or is_away(error):
            return as_aivd_error(error)
        raise
    return None


def _sender(scope: Any) -> Principal:
    """Raises TokenRefused or NotSignedIn."""
    scheme, _, _ = header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        return TokenPrincipal(tokens.find(text=token_in(scope)))
    user = session_user(scope)
    if user is None:
        raise NotSignedIn("Authentication credentials were not provided.")
    return user
