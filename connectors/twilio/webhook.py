"""Twilio's webhooks: a call comes in, a stream has ended, a call is over."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from agent.api import CallDesk, IncomingCall
from agent.errors import (
    AfterHoursError,
    CallEndedError,
    CapacityError,
    LineNotFoundError,
    VitaError,
)
from agent.log import get_logger
from agent.metrics import WEBHOOKS_REJECTED
from connectors.twilio import answers
from connectors.twilio.config import TwilioConfig
from connectors.twilio.signature import SignatureCheck

log = get_logger(__name__)

CARRIER = "twilio"

MAX_BODY = 64 * 1024
MAX_FIELDS = 200
LONGEST_VERDICT = 32
LONGEST_URL = 500

OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""Call states after which nothing more happens."""

_E164 = re.compile(r"\+[1-9]\d{6,14}")

_WITHHELD = frozenset({"+7378742833", "+2562533", "+8566696", "+266696687", "+86282452253", "+464"})
"""What Twilio puts for a number that is restricted, blocked, unknown, anonymous, unavailable."""


class RejectedRequestError(Exception):
    """A webhook that must not be answered with TwiML; `status` is what to answer instead."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Webhooks:
    """Answers the webhooks. Every answer is ready within `webhook_timeout_s`."""

    def __init__(self, desk: CallDesk, config: TwilioConfig, signatures: SignatureCheck) -> None:
        self._desk = desk
        self._config = config
        self._signatures = signatures

    async def voice(self, request: Request) -> Response:
        """A call comes in: connect it to the agent, or say why not."""
        try:
            fields = await self._fields(request)
        except RejectedRequestError as error:
            return _rejected(request, error)
        return _twiml(await self._admit(_incoming(fields)))

    async def after(self, request: Request) -> Response:
        """The media stream or a dialled human is done: what now?"""
        try:
            fields = await self._fields(request)
        except RejectedRequestError as error:
            return _rejected(request, error)
        if fields.get("RecordingUrl"):
            return _twiml(await self._message_left(fields))
        if fields.get("CallStatus") in OVER:
            return _twiml(answers.hang_up())
        dialled = fields.get("DialCallStatus")
        if dialled is not None:
            if dialled in ("completed", "answered"):
                return _twiml(answers.hang_up())
            log.info("transfer_failed", status=dialled)
        return _twiml(await self._next_step(_incoming(fields), dialled or ""))

    async def status(self, request: Request) -> Response:
        """The carrier reports on a call; only its end matters to the desk."""
        try:
            fields = await self._fields(request)
        except RejectedRequestError as error:
            return _rejected(request, error)
        state = fields.get("CallStatus", "")
        if state not in OVER:
            return Response(status_code=204)
        try:
            async with asyncio.timeout(self._config.webhook_timeout_s):
                await self._desk.ended(CARRIER, fields["CallSid"], state)
        except (VitaError, TimeoutError) as error:
            log.warning("end_not_recorded", reason=_reason(error))
            return Response(status_code=503)
        return Response(status_code=204)

    async def stream(self, request: Request) -> Response:
        """The carrier reports on a media stream; what it could not do with ours is logged."""
        try:
            fields = await self._fields(request)
        except RejectedRequestError as error:
            return _rejected(request, error)
        if fields.get("StreamEvent") == "stream-error":
            code = fields.get("StreamError", "")[:LONGEST_VERDICT]
            log.warning("carrier_stream_error", carrier_call_id=fields["CallSid"], code=code)
        return Response(status_code=204)

    async def answered_by(self, request: Request) -> tuple[Response, str]:
        """Who answered a call we placed; with the SID of a call to hang up, or nothing."""
        try:
            fields = await self._fields(request)
        except RejectedRequestError as error:
            return _rejected(request, error), ""
        verdict = fields.get("AnsweredBy", "unknown")[:LONGEST_VERDICT]
        try:
            async with asyncio.timeout(self._config.webhook_timeout_s):
                machine = await self._desk.answered_by(CARRIER, fields["CallSid"], verdict)
        except (VitaError, TimeoutError) as error:
            log.warning("verdict_not_recorded", reason=_reason(error))
            return Response(status_code=503), ""
        return Response(status_code=204), fields["CallSid"] if machine else ""

    async def _admit(self, call: IncomingCall) -> str:
        try:
            async with asyncio.timeout(self._config.webhook_timeout_s):
                admission = await self._desk.admit(call)
        except LineNotFoundError:
            log.warning("unknown_line", pii_to_number=call.to_number)
            return answers.say_and_hang_up(answers.NOT_IN_SERVICE)
        except AfterHoursError as error:
            log.info("after_hours")
            return answers.say_and_hang_up(str(error))
        except CallEndedError:
            log.info("already_ended")
            return answers.hang_up()
        except CapacityError:
            log.warning("at_capacity")
            return answers.say_and_hang_up(answers.ALL_BUSY)
        except (VitaError, TimeoutError) as error:
            log.warning("call_not_admitted", reason=_reason(error))
            return answers.say_and_hang_up(answers.SORRY)
        return answers.connect_agent(self._config, admission.token)

    async def _next_step(self, call: IncomingCall, dialled: str = "") -> str:
        try:
            async with asyncio.timeout(self._config.webhook_timeout_s):
                step = await self._desk.next_step(CARRIER, call.carrier_call_id, dialled=dialled)
        except (VitaError, TimeoutError) as error:
            log.warning("no_next_step", reason=_reason(error))
            return answers.say_and_hang_up(answers.SORRY)
        log.info("next_step", kind=step.kind)
        if step.kind == "dial":
            return answers.dial(self._config, step.target, answers.CONNECTING)
        if step.kind == "reconnect":
            return await self._admit(call)
        if step.kind == "take_message":
            return answers.take_message(self._config)
        if step.kind == "apologise":
            return answers.say_and_hang_up(answers.AGAIN_LATER)
        return answers.hang_up()

    async def _message_left(self, fields: dict[str, str]) -> str:
        """A message that cannot be noted is still kept by the carrier."""
        length = fields.get("RecordingDuration", "")
        try:
            async with asyncio.timeout(self._config.webhook_timeout_s):
                await self._desk.message_left(
                    CARRIER,
                    fields["CallSid"],
                    fields["RecordingUrl"][:LONGEST_URL],
                    int(length) if length.isdecimal() else 0,
                )
        except (VitaError, TimeoutError) as error:
            log.error("message_not_noted", reason=_reason(error))  # noqa: TRY400 - expected
        return answers.say_and_hang_up(answers.MESSAGE_TAKEN)

    async def _fields(self, request: Request) -> dict[str, str]:
        """The form, once its size, encoding and signature are right.

        Raises:
            RejectedRequestError: They are not, or the body does not come in time.
        """
        try:
            async with asyncio.timeout(self._config.webhook_timeout_s):
                body = await _body(request)
        except TimeoutError:
            raise RejectedRequestError(408, "the body did not come in time") from None
        try:
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
            )
        except ValueError:
            raise RejectedRequestError(400, "the body is not a form") from None
        scope = request.scope
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        if not self._signatures.webhook(raw_path, scope["query_string"], pairs, request.headers):
            raise RejectedRequestError(403, "signature")
        fields = dict(pairs)
        if not fields.get("CallSid"):
            raise RejectedRequestError(400, "no CallSid")
        return fields


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise RejectedRequestError(413, "the body is too long")
    return bytes(body)


def _incoming(fields: dict[str, str]) -> IncomingCall:
    """Twilio names who dialled and who was; we name our side and the other."""
    inbound = fields.get("Direction", "inbound") == "inbound"
    dialling, dialled = fields.get("From", ""), fields.get("To", "")
    line, other = (dialled, dialling) if inbound else (dialling, dialled)
    known = _E164.fullmatch(other) is not None and other not in _WITHHELD
    return IncomingCall(
        carrier=CARRIER,
        carrier_call_id=fields["CallSid"],
        to_number=line,
        from_number=other if known else "",
        direction="inbound" if inbound else "outbound",
    )


def _twiml(document: str) -> Response:
    return Response(document, media_type="text/xml")


def _rejected(request: Request, error: RejectedRequestError) -> Response:
    WEBHOOKS_REJECTED.labels(str(error)).inc()
    log.warning("webhook_rejected", path=request.url.path, status=error.status, reason=str(error))
    # closing the connection also ends a body that is still coming
    return Response(status_code=error.status, headers={"Connection": "close"})


def _reason(error: Exception) -> str:
    return error.code if isinstance(error, VitaError) else type(error).__name__
