"""Who opens a websocket, and from where: a session with our own Origin, or a token. Sits in front of the consumers."""

from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.http.request import split_domain_port, validate_host
from django.utils.crypto import constant_time_compare

from aivd_web import origins
from aivd_web.kernel.socket import NO_LAYER
from aivd_web.kernel.threads import in_thread
from inspections.rules import Principal, TokenPrincipal
from inspections.services import tokens

TOKEN_SUBPROTOCOL = "aivd.token."
App = Callable[[Any, Any, Any], Awaitable[None]]


class Denier(WebsocketDenier):
    """Refuses whoever opens it, which must cost nobody a connection to Redis."""

    channel_layer_alias = NO_LAYER


class KnownSockets:
    """ASGI middleware: refuse foreign Origins, and put `who` into the scope for the consumers to ask.

    A browser sends its cookies to us from any page, so a session counts only with an Origin of our own. A token
    is sent on purpose; a device with one has no Origin, but a browser's must still be ours.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        text = token_in(scope)
        if not may_open(scope, with_token=bool(text)):
            await Denier()(scope, receive, send)
            return

        async def who() -> Principal | None:
            return await in_thread(_who, scope, text)

        await self.app({**scope, "who": who}, receive, send)


def token_in(scope: Any) -> str:
    """From `Authorization: Bearer`, or from the subprotocol, the only header that a browser lets a page set."""
    scheme, _, text = header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    offered = [name for name in scope.get("subprotocols", []) if name.startswith(TOKEN_SUBPROTOCOL)]
    return offered[0].removeprefix(TOKEN_SUBPROTOCOL) if offered else ""


def may_open(scope: Any, *, with_token: bool) -> bool:
    """From a page of ours, or from a device that has a token and no page."""
    sent = [value.decode("latin1") for key, value in scope["headers"] if key == b"origin"]
    if sent in ([], [""]):
        return with_token
    return len(sent) == 1 and is_own_origin(scope, sent[0])


def is_own_origin(scope: Any, origin: str) -> bool:
    """The very scheme, host and port that was asked, or one of CSRF_TRUSTED_ORIGINS."""
    scheme = "https" if settings.BEHIND_TLS or scope.get("scheme") == "wss" else "http"
    host = header(scope, b"host")
    name, _ = split_domain_port(host)
    if not validate_host(name, settings.ALLOWED_HOSTS):
        return False
    return origins.is_ours(origin, scheme=scheme, host=host, trusted=settings.CSRF_TRUSTED_ORIGINS)


def header(scope: Any, name: bytes) -> str:
    return next((value.decode("latin1") for key, value in scope["headers"] if key == name), "")


def _who(scope: Any, text: str) -> Principal | None:
    """Who is there now: asked again and again, since a socket outlives a sign-out or a revoked token."""
    if text:
        try:
            return TokenPrincipal(tokens.find(text=text))
        except tokens.TokenRefused:
            return None
    return session_user(scope)


def session_user(scope: Any) -> User | None:
    """Whose session the request's cookie names."""
    return _session_user(_session_key(scope))


def _session_key(scope: Any) -> str:
    try:
        cookie = SimpleCookie(header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def _session_user(session_key: str) -> User | None:
    """As `django.contrib.auth.get_user` does it for a request, for a bare session key."""
    if not session_key:
        return None
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user_id, backend = session.get(SESSION_KEY), session.get(BACKEND_SESSION_KEY)
    if user_id is None or backend not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return None
    same = constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    return user if same else None
