"""Signing in and out: plain pages with a form, so that a password manager and no script will do."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from agent.console.about import About
from agent.console.gate import COOKIE, cookie
from agent.console.markup import Markup, tag
from agent.console.plain import plain_page
from agent.console.shell import MARK
from agent.errors import NotSignedInError, TooManyRequestsError
from agent.supervisor.accounts import Users
from agent.supervisor.sign_in import LONGEST, SignIns

LONGEST_FORM = 8192


def sign_in_routes(sign_ins: SignIns, users: Users, about: About) -> APIRouter:
    """`/sign-in` and `/sign-out`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/sign-in")
    async def form(next: str = "/", out: bool = False) -> HTMLResponse:
        notice = "You are signed out." if out else ""
        return HTMLResponse(await page(next, notice=notice))

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        given = await _form(request)
        email, target = given.get("email", ""), given.get("next", "/")
        ip = request.client.host if request.client else ""
        try:
            session = await sign_ins.sign_in(email, given.get("password", ""), ip=ip)
        except NotSignedInError as error:
            return HTMLResponse(await page(target, email=email, problem=str(error)), 401)
        except TooManyRequestsError as error:
            headers = {"Retry-After": f"{error.retry_after_s:.0f}"}
            again = await page(target, email=email, problem=str(error))
            return HTMLResponse(again, 429, headers=headers)
        answer = RedirectResponse(_ours(target), 303)
        answer.set_cookie(
            COOKIE,
            session.token,
            max_age=int(LONGEST.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        await sign_ins.sign_out(cookie(request.headers, COOKIE))
        answer = RedirectResponse("/sign-in?out=1", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return answer

    async def page(target: str, *, email: str = "", problem: str = "", notice: str = "") -> str:
        first = await users.is_empty()
        return _page(_ours(target), email, problem, notice, about.lines(), first=first)

    return router


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            return {}
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _ours(target: str) -> str:
    """A path of ours: an address of another site is not gone to."""
    local = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if local and "\n" not in target and "\r" not in target else "/"


def _page(
    target: str, email: str, problem: str, notice: str, footer: list[str], *, first: bool
) -> str:
    said: list[Markup] = []
    if problem:
        said.append(tag("div", problem, cls="say bad", role="alert"))
    elif notice:
        said.append(tag("div", notice, cls="say"))
    if first:
        how = tag("code", "vita users add you@example.com --role admin")
        hint = "Nobody can sign in yet. Make the first admin on this machine:"
        said.append(tag("div", hint, how, cls="say"))
    form = tag(
        "form",
        tag("input", type="hidden", name="next", value=target),
        _field("E-mail", "email", "email", email, "username", focus=not email),
        _field("Password", "password", "password", "", "current-password", focus=bool(email)),
        tag("button", "Sign in", type="submit"),
        method="post",
        action="/sign-in",
    )
    card = tag(
        "main",
        tag("div", MARK, cls="mark"),
        tag("h1", "Sign in to the console"),
        tag("p", "What was said on the phone, as it is said.", cls="muted"),
        *said,
        form,
        cls="card",
    )
    foot = tag("footer", " · ".join(footer))
    return plain_page("Sign in", card, foot)


def _field(label: str, name: str, kind: str, value: str, complete: str, *, focus: bool) -> Markup:
    box = tag(
        "input",
        type=kind,
        name=name,
        value=value,
        required=True,
        autocomplete=complete,
        autofocus=focus,
        id=name,
    )
    return tag("div", tag("label", label, for_=name), box, cls="field")
