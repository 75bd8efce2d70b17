"""Whether somebody may send a large body, asked before a byte of it is read. The view asks again, and for more."""

import re
from collections.abc import Callable
from typing import Any

from aivd_web.body_cap import Scope
from aivd_web.errors import SIGN_IN_HINT, as_aivd_error
from aivd_web.kernel.database import is_away
from aivd_web.kernel.errors import AivdError
from aivd_web.kernel.threads import in_thread
from aivd_web.sockets import header, session_user, token_in
from finetune import rules as finetune_rules
from inspections import rules
from inspections.rules import Action, Principal, TokenPrincipal
from inspections.services import tokens

UPLOADS = re.compile(r"/api/v1/stations/(\d{1,18})/frames")
TEMPLATES = re.compile(r"/api/v1/stations/(\d{1,18})/template")
IMPORTS = re.compile(r"/api/v1/datasets/(\d{1,18})/imports")
GATES: dict[re.Pattern[str], tuple[Callable[..., Any], Action]] = {
    UPLOADS: (rules.stations, Action.UPLOAD),
    TEMPLATES: (rules.stations, Action.CONFIGURE),
    IMPORTS: (finetune_rules.datasets, Action.CONFIGURE),
}


class NotSignedIn(AivdError):
    code = "not_authenticated"
    status = 401
    hint = SIGN_IN_HINT


async def refusal_of(scope: Scope) -> AivdError | None:
    """401, 403 or 404 where the request's sender may not upload there; None where nothing speaks against it."""
    for pattern, (question, action) in GATES.items():
        if match := pattern.fullmatch(scope["path"]):
            return await in_thread(_refusal, scope, question, int(match[1]), action)
    return None


def _refusal(scope: Any, question: Callable[..., Any], pk: int, action: Action) -> AivdError | None:
    try:
        rules.get(question, _sender(scope), pk, action)
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
