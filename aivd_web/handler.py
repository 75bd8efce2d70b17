"""How a request gets from the event loop to a view: through one thread, once.

Every view and every middleware here is synchronous. Left to itself Django changes between the event loop and a thread
around each middleware, some fifteen times a request, which costs more than the middlewares do.
"""

from typing import Any

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class OneThreadHandler(ASGIHandler):
    """Runs the middlewares and the view of a request one after the other in the request's own thread."""

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        # The request's own thread is also where Django closes the response, and with it the database connection.
        answer: Any = sync_to_async(self.get_response, thread_sensitive=True)
        response: HttpResponseBase = await answer(request)
        return response


def get_handler() -> OneThreadHandler:
    """Set Django up and return the application for HTTP."""
    django.setup(set_prefix=False)
    return OneThreadHandler()
