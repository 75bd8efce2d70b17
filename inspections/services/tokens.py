"""Machines' keys: `aivd_<prefix>_<secret>`. The secret is shown once; only its sha256 is kept."""

import hashlib
import hmac
import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from aivd_web.kernel.errors import AivdError, Unprocessable
from inspections.models import ApiToken, Line, Station

MARK = "aivd"
PREFIX_LETTERS = string.ascii_lowercase + string.digits
PREFIX_LENGTH = 8
SECRET_BYTES = 32
EXPIRED = ExpressionWrapper(Q(expires_at__lte=Now()), output_field=BooleanField())


class TokenRefused(AivdError):
    status = 401
    code = "token_invalid"
    hint = "Check that the whole token was sent; an admin of the line can make a new one."


class TokenRevoked(TokenRefused):
    code = "token_revoked"
    hint = "Ask an admin of the line for a new token."


class TokenExpired(TokenRefused):
    code = "token_expired"
    hint = "Ask an admin of the line for a new token."


@dataclass(frozen=True)
class Issued:
    """A new token and its text, which can never be shown again."""

    token: ApiToken
    text: str


def issue(
    *,
    name: str,
    line: Line,
    scopes: Collection[str],
    by: User | None,
    station: Station | None = None,
    expires_at: datetime | None = None,
) -> Issued:
    """Make a token for `line`, or for one `station` of it. Raises Unprocessable on scopes that do not exist."""
    if station is not None and station.line_id != line.pk:
        raise Unprocessable(f"Station '{station.name}' is not on line '{line.name}'.")
    unknown = set(scopes) - set(ApiToken.Scope.values)
    if unknown or not scopes:
        raise Unprocessable(
            f"A token needs scopes out of {', '.join(ApiToken.Scope.values)}.", hint="Choose at least one."
        )
    prefix = "".join(secrets.choice(PREFIX_LETTERS) for _ in range(PREFIX_LENGTH))
    text = f"{MARK}_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    token = ApiToken.objects.create(
        name=name,
        prefix=prefix,
        digest=_digest(text),
        line=line,
        station=station,
        scopes=sorted(set(scopes)),
        created_by=by,
        expires_at=expires_at,
    )
    return Issued(token, text)


def find(*, text: str) -> ApiToken:
    """The usable token that `text` is. Raises TokenRefused, TokenRevoked or TokenExpired."""
    mark, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    token = None
    if mark == MARK and len(prefix) == PREFIX_LENGTH and secret and text.isascii():
        known = ApiToken.objects.select_related("line", "station").filter(prefix=prefix)
        token = known.annotate(expired_when_found=EXPIRED).first()
    if token is None or not hmac.compare_digest(token.digest, _digest(text)):
        raise TokenRefused("This token is not known.")
    if token.revoked_at is not None:
        raise TokenRevoked(f"The token '{token.name}' was revoked.")
    if not token.is_usable:
        raise TokenExpired(f"The token '{token.name}' has expired.")
    return token


def revoke(*, token: ApiToken) -> ApiToken:
    """Make the token useless from now on. A second time changes nothing."""
    # Somebody else may have revoked it a moment ago: their time stands.
    ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=Now())
    token.refresh_from_db()
    return token


def _digest(text: str) -> str:
    """Plain sha256 will do: the secret has 256 random bits, so there is nothing to guess from a dictionary."""
    return hashlib.sha256(text.encode()).hexdigest()
