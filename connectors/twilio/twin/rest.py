"""The part of Twilio's REST interface that calls need, under `/2010-04-01`."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import JSONResponse

from connectors.twilio.twin.account import TwinAccount
from connectors.twilio.twin.call import TwinCall
from connectors.twilio.twin.faults import Faults
from connectors.twilio.twin.run import CallRun
from connectors.twilio.twin.twiml import Element, TwimlError, parse
from connectors.twilio.twin.world import Fetch, Inline, Instruction, Order

MAX_INLINE_TWIML = 4000

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_SUBRESOURCES = (
    "events",
    "notifications",
    "payments",
    "recordings",
    "siprec",
    "streams",
    "transcriptions",
    "user_defined_message_subscriptions",
    "user_defined_messages",
)


class RestError(Exception):
    """A refusal, as Twilio words it."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def response(self) -> JSONResponse:
        """Twilio's error document."""
        body = {
            "code": self.code,
            "message": str(self),
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if self.status == 401 else None
        return JSONResponse(body, self.status, headers)


class Exchange(Protocol):
    """Where calls live."""

    @property
    def calls(self) -> list[TwinCall]:
        """All calls, oldest first."""
        ...

    def find(self, sid: str) -> CallRun | None:
        """The call with this SID."""
        ...

    def dial(
        self,
        to: str,
        from_: str,
        instruction: Instruction,
        order: Order,
    ) -> TwinCall:
        """Place an outbound call."""
        ...


class QueueFullError(RestError):
    """Too many calls wait to be placed."""

    def __init__(self) -> None:
        super().__init__(429, 20429, "Too Many Requests")


def rest_router(account: TwinAccount, exchange: Exchange, faults: Faults) -> APIRouter:
    """Routes to create, fetch and update calls."""
    router = APIRouter(prefix="/2010-04-01/Accounts/{account_sid}", include_in_schema=False)

    async def answer(request: Request, act: Callable[[FormData], TwinCall], status: int) -> Any:
        try:
            authenticate(request, account)
            _fail_on_purpose(faults)
            async with request.form() as form:
                call = act(form)
        except RestError as error:
            return error.response()
        return JSONResponse(resource(call, account.sid), status)

    @router.post("/Calls.json")
    async def create(request: Request) -> Any:
        return await answer(request, lambda form: _create(exchange, form), 201)

    @router.get("/Calls.json")
    async def listing(request: Request) -> Any:
        try:
            authenticate(request, account)
            return JSONResponse(_page(exchange.calls, request, account.sid))
        except RestError as error:
            return error.response()

    @router.get("/Calls/{sid}.json")
    async def fetch(request: Request, sid: str) -> Any:
        return await answer(request, lambda _form: _found(exchange, sid).call, 200)

    @router.post("/Calls/{sid}.json")
    async def update(request: Request, sid: str) -> Any:
        return await answer(request, lambda form: _update(_found(exchange, sid), form), 200)

    return router


def authenticate(request: Request, account: TwinAccount) -> None:
    """Let the account's own credentials in.

    Raises:
        RestError: 20003, others.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = password = ""
    if scheme.lower() != "basic" or not account.opens(user, password):
        raise RestError(401, 20003, "Authenticate")
    if request.path_params["account_sid"] != account.sid:
        raise RestError(404, 20404, f"The requested resource {request.url.path} was not found")


def _fail_on_purpose(faults: Faults) -> None:
    if faults.rest:
        status = faults.rest.popleft()
        raise RestError(status, 20429 if status == 429 else 20500, "on purpose")


def _found(exchange: Exchange, sid: str) -> CallRun:
    run = exchange.find(sid)
    if run is None:
        raise RestError(404, 20404, f"The requested resource /Calls/{sid}.json was not found")
    return run


def _create(exchange: Exchange, form: FormData) -> TwinCall:
    to, from_ = _text(form, "To"), _text(form, "From")
    if not to:
        raise RestError(400, 21201, "No 'To' number is specified")
    if not _E164.fullmatch(to):
        raise RestError(400, 21211, f"Invalid 'To' Phone Number: {to}")
    if not from_:
        raise RestError(400, 21213, "No 'From' number is specified")
    if not _E164.fullmatch(from_):
        raise RestError(400, 21212, f"Invalid 'From' Phone Number: {from_}")
    instruction = _instruction(form)
    if instruction is None:
        raise RestError(400, 21205, "Url parameter is required")
    return exchange.dial(to, from_, instruction, _order(form))


def _order(form: FormData) -> Order:
    events = frozenset(str(event) for event in form.getlist("StatusCallbackEvent"))
    detects = _text(form, "MachineDetection") in ("Enable", "DetectMessageEnd")
    return Order(
        status_url=_text(form, "StatusCallback"),
        status_events=events or frozenset({"completed"}),
        ring_limit_s=_seconds(form, "Timeout", 60.0),
        time_limit_s=_seconds(form, "TimeLimit", 4 * 3600.0),
        amd_url=_text(form, "AsyncAmdStatusCallback") if detects else "",
    )


def _seconds(form: FormData, name: str, default: float) -> float:
    text = _text(form, name)
    if text and not text.isdigit():
        raise RestError(400, 21218, f"Invalid {name}: {text}")
    return float(text or default)


def _update(run: CallRun, form: FormData) -> TwinCall:
    call, status = run.call, _text(form, "Status")
    instruction = _instruction(form)
    if call.is_over:
        raise RestError(400, 21220, "Call is not in-progress. Cannot redirect.")
    call.timeline.add("update", status=status, url=_text(form, "Url"), twiml=_text(form, "Twiml"))
    if status == "completed":
        run.complete("completed" if call.status == "in-progress" else "canceled")
    elif status == "canceled":
        if call.status == "in-progress":
            raise RestError(400, 21220, "Call is in-progress. Cannot cancel.")
        run.complete("canceled")
    elif status:
        raise RestError(400, 21218, f"Invalid status: {status}")
    elif instruction is not None:
        if call.status != "in-progress":
            raise RestError(400, 21220, "Call is not in-progress. Cannot redirect.")
        run.redirect(instruction)
    return call


def _instruction(form: FormData) -> Instruction | None:
    twiml, url = _text(form, "Twiml"), _text(form, "Url")
    if twiml:
        if len(twiml) > MAX_INLINE_TWIML:
            raise RestError(400, 21218, f"Twiml is longer than {MAX_INLINE_TWIML} characters")
        _require_absolute(twiml)
        return Inline(twiml)
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RestError(400, 21205, f"Url is not a valid URL: {url}")
    return Fetch(url, "GET" if _text(form, "Method").upper() == "GET" else "POST")


def _require_absolute(twiml: str) -> None:
    """Inline TwiML has no address that relative actions could stand on."""
    try:
        document = parse(twiml.encode(), "text/xml")
    except TwimlError as error:
        raise RestError(400, error.code, str(error)) from error
    for verb in document.verbs:
        for address in _addresses(verb):
            if not urlsplit(address).scheme:
                raise RestError(400, 15004, f"The address {address} is not absolute")


def _addresses(verb: Element) -> list[str]:
    addresses = [verb.attributes["action"]] if "action" in verb.attributes else []
    return [*addresses, verb.text.strip()] if verb.name == "Redirect" else addresses


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def resource(call: TwinCall, account_sid: str) -> dict[str, Any]:
    """A call as Twilio's JSON shows it: dates in RFC 2822, numbers as strings."""
    uri = f"/2010-04-01/Accounts/{account_sid}/Calls/{call.sid}"
    return {
        "sid": call.sid,
        "account_sid": account_sid,
        "parent_call_sid": None,
        "phone_number_sid": "",
        "to": call.to,
        "to_formatted": call.to,
        "from": call.from_,
        "from_formatted": call.from_,
        "status": call.status if call.status != "initiated" else "queued",
        "direction": call.direction,
        "date_created": _date(call.created_at),
        "date_updated": _date(call.ended_at or call.answered_at or call.created_at),
        "start_time": _date(call.answered_at),
        "end_time": _date(call.ended_at),
        "duration": str(call.duration_s) if call.is_over else None,
        "price": None,
        "price_unit": "USD",
        "answered_by": call.answered_by or None,
        "api_version": "2010-04-01",
        "annotation": None,
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": str(round(call.queue_s * 1000)),
        "trunk_sid": None,
        "uri": f"{uri}.json",
        "subresource_uris": {name: f"{uri}/{_camel(name)}.json" for name in _SUBRESOURCES},
    }


def _page(calls: list[TwinCall], request: Request, account_sid: str) -> dict[str, Any]:
    """One page of the calls, newest first; `Status`, `To` and `From` narrow them down."""
    asked = request.query_params
    wanted = [
        call
        for call in reversed(calls)
        if asked.get("Status", call.status) == call.status
        and asked.get("To", call.to) == call.to
        and asked.get("From", call.from_) == call.from_
    ]
    size = min(max(_number(asked.get("PageSize"), 50), 1), 1000)
    page = max(_number(asked.get("Page"), 0), 0)
    shown = wanted[page * size : (page + 1) * size]
    uri = f"/2010-04-01/Accounts/{account_sid}/Calls.json"
    more = len(wanted) > (page + 1) * size
    return {
        "calls": [resource(call, account_sid) for call in shown],
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": page * size + max(len(shown) - 1, 0),
        "uri": f"{uri}?PageSize={size}&Page={page}",
        "first_page_uri": f"{uri}?PageSize={size}&Page=0",
        "previous_page_uri": f"{uri}?PageSize={size}&Page={page - 1}" if page else None,
        "next_page_uri": f"{uri}?PageSize={size}&Page={page + 1}" if more else None,
    }


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() else default


def _date(moment: datetime | None) -> str | None:
    return None if moment is None else format_datetime(moment)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
