"""What stands before every page: a session, our own origin, and headers that keep pages to themselves.

Closed by default: an address that is not listed as public needs a session, so a new page is protected
before anybody thinks of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.errors import NotSignedInError, VitaError
from agent.supervisor.access import Actor

COOKIE = "vita_session"

Authenticate = Callable[[str, str], Awaitable[Actor]]
"""Who a session token belongs to, asked from an IP address; raises `NotSignedInError`."""

PUBLIC = ("/sign-in", "/sign-out", "/static/", "/livez", "/favicon.ico")
FRAMEWORK = "/_nicegui/"
FRAMEWORK_FILES = frozenset({"static", "components", "libraries", "esm", "resources"})

# The pages' framework compiles its templates in the browser, which takes `unsafe-eval`. Everything
# else is strict: nothing is loaded from, sent to, or shown inside another site.
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
}


class Gate:
    """ASGI middleware; puts the `Actor` and the session token into the request's state."""

    def __init__(self, app: ASGIApp, authenticate: Authenticate) -> None:
        self._app = app
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it here."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        outgoing = _with_headers(scope, send)
        refusal = await self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, outgoing)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401})
        else:
            await refusal(scope, receive, outgoing)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not _same_origin(scope, headers):
            return PlainTextResponse("This request came from another site.\n", 403)
        path: str = scope["path"]
        if _public(path):
            return None
        token = cookie(headers, COOKIE)
        client = scope.get("client")
        try:
            actor = await self._authenticate(token, client[0] if client else "")
        except NotSignedInError as error:
            if scope["type"] == "http" and scope["method"] == "GET" and _wants_a_page(headers):
                query = scope.get("query_string", b"").decode("latin-1")
                target = quote(f"{path}?{query}" if query else path, safe="/")
                return RedirectResponse(f"/sign-in?next={target}", 303)
            return PlainTextResponse(f"{error}\n", 401)
        except VitaError as error:
            return PlainTextResponse(f"{error}\n", error.http_status)
        scope.setdefault("state", {}).update(actor=actor, token=token)
        return None


def cookie(headers: Headers, name: str) -> str:
    """One cookie of a request; empty when there is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _public(path: str) -> bool:
    if path.startswith(FRAMEWORK):
        parts = path.split("/")
        return len(parts) > 3 and parts[3] in FRAMEWORK_FILES
    return any(path == each or (each.endswith("/") and path.startswith(each)) for each in PUBLIC)


def _wants_a_page(headers: Headers) -> bool:
    return "text/html" in headers.get("accept", "text/html")


def _same_origin(scope: Scope, headers: Headers) -> bool:
    """What changes something, and every socket, must come from one of our own pages."""
    if scope["type"] == "http" and scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        return True
    origin = headers.get("origin")
    if origin is None:
        return True
    return urlsplit(origin).netloc == headers.get("host", "")


def _with_headers(scope: Scope, send: Send) -> Send:
    path: str = scope["path"]
    kept = path.startswith((FRAMEWORK, "/static/", "/media/"))

    async def outgoing(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if not kept:
                headers["cache-control"] = "no-store"
        await send(message)

    return outgoing
