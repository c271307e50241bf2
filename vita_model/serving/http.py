"""The few plain HTTP requests a model server answers beside its WebSocket.

The websockets library reads GET requests without a body and ends every other connection. A reader in
front of it shows it any request as such a GET and keeps method and body aside. Pure: bytes in, bytes
out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Response

from vita_model.serving.events import Json

MOST_HEAD_BYTES = 16 * 1024
MOST_BODY_BYTES = 64 * 1024

_HIDDEN = ("content-length", "expect")


class RequestReader:
    """Reads the first request of one connection.

    Attributes:
        method: Of the request, once `feed` has given something out.
        body: What came with it.
        refusal: Why the request cannot be read; None for no reason.
    """

    def __init__(self) -> None:
        self.method = "GET"
        self.body = b""
        self.refusal: HTTPStatus | None = None
        self._kept: bytes | None = b""

    def feed(self, data: bytes) -> bytes:
        """Take what came in; returns what the WebSocket side may see of it."""
        if self._kept is None:
            return data
        self._kept += data
        if self._kept.startswith(b"GET "[: len(self._kept)]):
            return self._pass(self._kept) if len(self._kept) >= 4 else b""
        head, end, rest = self._kept.partition(b"\r\n\r\n")
        if not end:
            return self._pass(self._kept) if len(head) > MOST_HEAD_BYTES else b""
        return self._read(head, rest)

    def _read(self, head: bytes, rest: bytes) -> bytes:
        request, *lines = head.split(b"\r\n")
        method, _, target = request.partition(b" ")
        fields = [line.partition(b":") for line in lines]
        lengths = [value.strip() for name, _, value in fields if name.lower() == b"content-length"]
        length = lengths[0] if lengths else b"0"
        if not length.isdigit() or len(lengths) > 1:
            self.refusal = HTTPStatus.BAD_REQUEST
        elif len(length) > 9 or int(length) > MOST_BODY_BYTES:
            self.refusal = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        elif len(rest) < int(length):
            return b""
        else:
            self.body = rest[: int(length)]
        self.method = method.decode("ascii", "replace")
        kept = [
            line
            for line, (name, _, _) in zip(lines, fields, strict=True)
            if name.lower().decode("ascii", "replace") not in _HIDDEN
        ]
        return self._pass(b"\r\n".join([b"GET " + target, *kept, b"", b""]))

    def _pass(self, data: bytes) -> bytes:
        self._kept = None
        return data


def answer(
    status: HTTPStatus,
    content: bytes,
    content_type: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One answer; the connection is closed after it."""
    fields = Headers(
        [
            ("Content-Type", content_type),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
    )
    fields.update(headers or {})
    return Response(status.value, status.phrase, fields, content)


def json_answer(
    status: HTTPStatus, content: Json, headers: Mapping[str, str] | None = None
) -> Response:
    """One answer as JSON."""
    return answer(status, json.dumps(content).encode(), "application/json", headers)


def refuse(
    status: HTTPStatus, sentence: str, code: str | None = None, retry_after_s: int = 0
) -> Response:
    """A refusal, as OpenAI's clients read it."""
    server = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    kind = "server_error" if server else "invalid_request_error"
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else None
    return json_answer(
        status, {"error": {"type": kind, "code": code, "message": sentence}}, headers
    )
