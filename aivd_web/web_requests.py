"""How the web server reads the heads of requests: uvicorn's way, but no head grows without end.

Its fast parser keeps whatever stands before a body, 200 MB of headers from anybody. Knows no address and no view.
"""

import asyncio
import json
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
LINGER_S = 1.0
BODY = json.dumps(
    {
        "code": "head_too_large",
        "detail": f"The request's head has more than {MAX_HEAD_BYTES:,} bytes.",
        "hint": "Send shorter headers, and fewer.",
    }
).encode()
ANSWER = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY
)


class BoundedRequests(HttpToolsProtocol):
    """What uvicorn is told to use: `--http=aivd_web.web_requests:BoundedRequests`.

    Counted is what arrived since the parser last came to the end of a head, a piece of a body or a message: headers,
    trailers and the extensions of chunks alike.
    """

    head_bytes = 0
    came_further = False
    refused = False

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        self.came_further = False
        super().data_received(data)
        self.head_bytes = 0 if self.came_further else self.head_bytes + len(data)
        if self.head_bytes > MAX_HEAD_BYTES:
            self._refuse()

    def on_headers_complete(self) -> None:
        self.came_further = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.came_further = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.came_further = True
        super().on_message_complete()

    def _refuse(self) -> None:
        """An answer that is under way is not written into; its connection ends all the same.

        What still arrives is read over for a moment: closed with unread bytes, many clients lose the answer.
        """
        self.refused = True
        transport = cast(Any, self.transport)
        if transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            transport.write(ANSWER)
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # the application hears so, and its own answer is dropped
            cycle.message_event.set()
        asyncio.get_running_loop().call_later(LINGER_S, transport.close)
