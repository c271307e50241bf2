"""Webhooks over real HTTP, signed by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from xml.etree import ElementTree

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs
from typing_extensions import override

from agent.api import Admission, IncomingCall, NextStep
from agent.errors import (
    AfterHoursError,
    CallEndedError,
    CapacityError,
    PortInUseError,
    SessionStoreError,
    VitaError,
)
from connectors.app import build_app
from connectors.server import AppServer, listen
from connectors.twilio.config import TRIES, TwilioConfig
from connectors.twilio.twin import TwinAccount
from connectors.twilio.twin.signer import signature_headers
from tests.connectors.desk import HUMAN, LINE, EchoDesk

pytestmark = pytest.mark.integration

CALL = {
    "CallSid": "CA1",
    "AccountSid": "AC1",
    "From": "+15550123",
    "To": LINE,
    "CallStatus": "ringing",
    "Direction": "inbound",
    "FromCity": "",
}


@dataclass
class Door:
    url: str
    account: TwinAccount
    client: httpx.AsyncClient

    async def post(self, path: str, **fields: str) -> httpx.Response:
        url, form = self.url + path, CALL | fields
        headers = signature_headers(self.account, url, form)
        return await self.client.post(url, data=form, headers=headers)


@asynccontextmanager
async def door(desk: EchoDesk, **limits: float) -> AsyncIterator[Door]:
    account = TwinAccount.fresh()
    bound = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    config = TwilioConfig(account.sid, account.auth_token, url, **limits)  # type: ignore[arg-type]
    async with (
        AppServer(build_app(desk, config, about={"licence": "Apache-2.0"}), bound=bound),
        httpx.AsyncClient(trust_env=False) as client,
    ):
        yield Door(url, account, client)


def verbs(answer: httpx.Response) -> list[ElementTree.Element]:
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    return list(ElementTree.fromstring(answer.text))  # noqa: S314 - our own answer


async def test_a_call_is_connected_by_stream_and_falls_through_to_the_resume_url() -> None:
    async with door(EchoDesk()) as at:
        connect, redirect = verbs(await at.post("/twilio/voice"))
        assert connect.tag == "Connect"
        assert connect.attrib["action"] == redirect.text == f"{at.url}/twilio/after{TRIES}"
        (stream,) = connect
        assert stream.attrib["url"] == f"ws{at.url.removeprefix('http')}/twilio/media"
        (parameter,) = stream
        assert parameter.attrib["name"] == "token"
        assert len(parameter.attrib["value"]) >= 20


async def test_the_same_webhook_again_is_the_same_call() -> None:
    desk = EchoDesk()
    async with door(desk) as at:
        await at.post("/twilio/voice")
        await at.post("/twilio/voice")
    assert {call.carrier_call_id for call in desk.admitted} == {"CA1"}


async def test_a_withheld_number_is_no_number() -> None:
    desk = EchoDesk()
    async with door(desk) as at:
        for number in ("", "anonymous", "+266696687", "+7378742833", "sip:a@b"):
            await at.post("/twilio/voice", From=number)
    assert [call.from_number for call in desk.admitted] == [""] * 5


async def test_an_outbound_call_is_told_apart_and_our_side_is_the_line() -> None:
    desk = EchoDesk()
    async with door(desk) as at:
        await at.post("/twilio/voice", Direction="outbound-api", From=LINE, To="+15550123")
    (call,) = desk.admitted
    assert call.direction == "outbound"
    assert (call.to_number, call.from_number) == (LINE, "+15550123")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AfterHoursError("We open at nine."), "We open at nine."),
        (CallEndedError("over"), None),
        (CapacityError("full"), "All our lines are busy"),
    ],
)
async def test_a_call_that_is_not_admitted_hears_why(error: VitaError, said: str | None) -> None:
    class Closed(EchoDesk):
        @override
        async def admit(self, call: IncomingCall) -> Admission:
            raise error

    async with door(Closed()) as at:
        *say, hang_up = verbs(await at.post("/twilio/voice"))
    assert hang_up.tag == "Hangup"
    assert [verb.tag for verb in say] == (["Say"] if said else [])
    assert all((said or "") in (verb.text or "") for verb in say)


@pytest.mark.parametrize(
    "path",
    ["/twilio/voice", "/twilio/after", "/twilio/status", "/twilio/stream", "/twilio/amd"],
)
async def test_wrong_signatures_get_403_and_nothing_else(path: str) -> None:
    desk = EchoDesk()
    async with door(desk) as at:
        good = signature_headers(at.account, at.url + path, CALL)
        attempts = [
            await at.client.post(at.url + path, data=CALL),
            await at.client.post(at.url + path, data=CALL | {"To": HUMAN}, headers=good),
            await at.client.post(
                at.url + path, data=CALL, headers={"X-Twilio-Signature": "A" * 28}
            ),
            await at.client.post(at.url + path + "?x=1", data=CALL, headers=good),
        ]
    assert [(answer.status_code, answer.content) for answer in attempts] == [(403, b"")] * 4
    assert not desk.admitted
    assert not desk.endings


async def test_bodies_that_are_no_forms_are_refused_before_anything_else() -> None:
    async with door(EchoDesk()) as at:
        url = f"{at.url}/twilio/voice"
        long = await at.client.post(url, content=b"a=" + b"b" * 70_000)
        binary = await at.client.post(url, content=b"\xff\xfe")
        many = await at.client.post(url, content=b"a=1&" * 300)
        anonymous = await at.post("/twilio/voice", CallSid="")
    statuses = [answer.status_code for answer in (long, binary, many, anonymous)]
    assert statuses == [413, 400, 400, 400]


async def test_a_body_that_does_not_come_is_cut_off() -> None:
    async with door(EchoDesk(), webhook_timeout_s=0.2) as at, asyncio.timeout(10):
        host, port = at.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /twilio/voice HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nCallSid="
        )
        answer = await reader.read()  # until the server closes
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408")


class BrokenDesk(EchoDesk):
    @override
    async def admit(self, call: IncomingCall) -> Admission:
        raise SessionStoreError("Redis is out of reach")

    @override
    async def next_step(self, carrier: str, carrier_call_id: str, *, dialled: str = "") -> NextStep:
        raise SessionStoreError("Redis is out of reach")

    @override
    async def ended(self, carrier: str, carrier_call_id: str, reason: str) -> None:
        raise SessionStoreError("Redis is out of reach")


class StuckDesk(EchoDesk):
    @override
    async def admit(self, call: IncomingCall) -> Admission:
        await asyncio.sleep(60)
        raise AssertionError

    @override
    async def next_step(self, carrier: str, carrier_call_id: str, *, dialled: str = "") -> NextStep:
        await asyncio.sleep(60)
        raise AssertionError

    @override
    async def ended(self, carrier: str, carrier_call_id: str, reason: str) -> None:
        await asyncio.sleep(60)


@pytest.mark.parametrize("desk", [BrokenDesk(), StuckDesk()])
async def test_a_desk_in_trouble_is_an_apology_never_silence(desk: EchoDesk) -> None:
    async with door(desk, webhook_timeout_s=0.2) as at:
        for path in ("/twilio/voice", "/twilio/after"):
            say, hang_up = verbs(await at.post(path, CallStatus="in-progress"))
            assert (say.tag, hang_up.tag) == ("Say", "Hangup")
            assert "technical problem" in (say.text or "")
        status = await at.post("/twilio/status", CallStatus="completed")
    assert status.status_code == 503


async def test_the_resume_url_of_a_call_that_is_over_asks_nobody() -> None:
    desk = EchoDesk(steps=[NextStep("dial", HUMAN)])
    async with door(desk) as at:
        (verb,) = verbs(await at.post("/twilio/after", CallStatus="completed"))
    assert verb.tag == "Hangup"
    assert len(desk.steps) == 1


async def test_dialling_a_human_comes_back_to_the_resume_url() -> None:
    async with door(EchoDesk(steps=[NextStep("dial", HUMAN)])) as at:
        say, dial = verbs(await at.post("/twilio/after", CallStatus="in-progress"))
        assert say.tag == "Say", "no silence before it rings"
        assert (dial.tag, dial.text) == ("Dial", HUMAN)
        assert dial.attrib["action"] == f"{at.url}/twilio/after{TRIES}"


async def test_after_a_human_the_call_is_over() -> None:
    desk = EchoDesk(steps=[NextStep("reconnect")])
    async with door(desk) as at:
        answer = await at.post(
            "/twilio/after", CallStatus="in-progress", DialCallStatus="completed"
        )
    assert [verb.tag for verb in verbs(answer)] == ["Hangup"]


async def test_only_final_states_reach_the_desk() -> None:
    desk = EchoDesk()
    final = ["completed", "busy", "failed", "no-answer", "canceled"]
    async with door(desk) as at:
        answers = [
            await at.post("/twilio/status", CallStatus=state)
            for state in ["initiated", "ringing", "in-progress", *final]
        ]
    assert {answer.status_code for answer in answers} == {204}
    assert desk.endings == [("CA1", state) for state in final]


async def test_what_the_carrier_could_not_do_with_our_stream_is_logged() -> None:
    async with door(EchoDesk()) as at:
        with capture_logs() as lines:
            for event, code in (("stream-started", ""), ("stream-error", "31924")):
                answer = await at.post("/twilio/stream", StreamEvent=event, StreamError=code)
                assert answer.status_code == 204
    (said,) = [line for line in lines if line["event"] == "carrier_stream_error"]
    assert (said["code"], said["carrier_call_id"]) == ("31924", "CA1")


async def test_health_tells_the_facts_it_was_given() -> None:
    async with door(EchoDesk()) as at:
        healthy = await at.client.get(f"{at.url}/healthz")
        ready = await at.client.get(f"{at.url}/readyz")
    assert healthy.json() == {"status": "ok", "licence": "Apache-2.0"}
    assert ready.status_code == 200


async def test_a_taken_port_is_one_clear_sentence() -> None:
    taken = listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    taken.listen()
    with pytest.raises(PortInUseError, match=f"cannot listen on 127.0.0.1:{port}"):
        async with AppServer(FastAPI(), port=port):
            pass
    taken.close()
