"""Keeps large request bodies out, also those that do not say how large they are."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.api_http.problems import problem

LARGEST_BODY = 256 * 1024
SWALLOWED = 4 * 1024 * 1024
"""So much of a refused body is read all the same: who sends it can read the answer then."""


class BodyLimit:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, largest: int = LARGEST_BODY) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on unless its body is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        total, more = 0, True
        while more and total < SWALLOWED:
            message = await receive()
            if message["type"] != "http.request":
                return
            piece = message.get("body", b"")
            total += len(piece)
            more = message.get("more_body", False)
            if total <= self._largest:
                body += piece
        if total > self._largest:
            answer = problem(413, "too_large", f"A request body has at most {self._largest} bytes.")
            if more:
                answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
            return
        whole = iter([{"type": "http.request", "body": bytes(body), "more_body": False}])

        async def replay() -> Message:
            return next(whole, None) or await receive()

        await self._app(scope, replay, send)
