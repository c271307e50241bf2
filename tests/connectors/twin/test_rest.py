"""The twin's REST interface, through the official client and by hand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from connectors.twilio.call_control import TwilioRest
from connectors.twilio.config import TwilioConfig
from connectors.twilio.twin import (
    Callee,
    HangUp,
    Pause,
    Speak,
    Twin,
    TwinAccount,
    WaitForEnd,
)
from connectors.twilio.twin.account import new_sid
from connectors.twilio.twin.audio import tone
from connectors.twilio.twin.call import TwinCall
from tests.connectors.twin.customer import Site, Socket, Talk, site_and_twin

pytestmark = pytest.mark.integration

TO, FROM = "+15550123", "+15550100"


@asynccontextmanager
async def client(twin: Twin, user: str = "", secret: str = "") -> AsyncIterator[httpx.AsyncClient]:
    account = twin.account
    auth = (user or account.sid, secret or account.auth_token)
    base = f"{twin.url}/2010-04-01/Accounts/{account.sid}"
    async with httpx.AsyncClient(base_url=base, auth=auth, trust_env=False) as opened:
        yield opened


async def ended(twin: Twin, sid: str) -> TwinCall:
    run = twin.find(sid)
    assert run is not None
    await run.call.wait_ended(20)
    return run.call


@pytest.mark.parametrize("prefix", ["CA", "MZ", "AC", "SK"])
def test_e17_sids_are_two_letters_and_32_hex_digits(prefix: str) -> None:
    assert re.fullmatch(prefix + "[0-9a-f]{32}", new_sid(prefix))
    assert new_sid(prefix) != new_sid(prefix)


async def test_e8_the_token_and_an_api_key_open_and_nothing_else_does() -> None:
    async with site_and_twin(Site()) as twin:
        account = twin.account
        answers = []
        for user, secret in [
            (account.sid, account.auth_token),
            (account.api_key_sid, account.api_key_secret),
            (account.sid, "wrong"),
            (account.api_key_sid, account.auth_token),
            ("AC9", account.auth_token),
        ]:
            async with client(twin, user, secret) as rest:
                answers.append(await rest.get("/Calls/CA1.json"))
        async with httpx.AsyncClient(trust_env=False) as bare:
            url = f"{twin.url}/2010-04-01/Accounts/{account.sid}/Calls.json"
            answers.append(await bare.post(url))
            answers.append(await bare.post(url, headers={"Authorization": "Basic ///"}))
    assert [answer.status_code for answer in answers] == [404, 404, 401, 401, 401, 401, 401]
    refusal = answers[2].json()
    assert (refusal["code"], refusal["status"]) == (20003, 401)
    assert refusal["more_info"].endswith("/20003")


async def test_e8_another_account_is_not_found() -> None:
    async with site_and_twin(Site()) as twin, client(twin) as rest:
        url = f"{twin.url}/2010-04-01/Accounts/{new_sid('AC')}/Calls.json"
        answer = await rest.post(url, data={"To": TO})
    assert answer.json()["code"] == 20404


def _inline(twiml: str) -> dict[str, str]:
    return {"To": TO, "From": FROM, "Twiml": twiml}


BAD_CALLS: list[tuple[dict[str, str], int]] = [
    ({"From": FROM, "Url": "http://a/b"}, 21201),
    ({"To": "12", "From": FROM, "Url": "http://a/b"}, 21211),
    ({"To": TO, "Url": "http://a/b"}, 21213),
    ({"To": TO, "From": "me", "Url": "http://a/b"}, 21212),
    ({"To": TO, "From": FROM}, 21205),
    ({"To": TO, "From": FROM, "Url": "a/b"}, 21205),
    (_inline("<Response>"), 12100),
    (_inline("<Response/>" + " " * 4000), 21218),
    (_inline('<Response><Dial action="/a">1</Dial></Response>'), 15004),
    (_inline("<Response><Redirect>/a</Redirect></Response>"), 15004),
]


async def test_e9_a_bad_call_is_refused_with_its_code() -> None:
    async with site_and_twin(Site()) as twin, client(twin) as rest:
        answers = [await rest.post("/Calls.json", data=form) for form, _ in BAD_CALLS]
        assert not twin.calls
    assert {answer.status_code for answer in answers} == {400}
    assert [answer.json()["code"] for answer in answers] == [code for _, code in BAD_CALLS]


async def test_e9_a_new_call_is_201_with_all_fields() -> None:
    form = {"To": TO, "From": FROM, "Twiml": "<Response><Hangup/></Response>"}
    async with site_and_twin(Site()) as twin, client(twin) as rest:
        twin.set_callee(TO, Callee(ring_s=0.05))
        answer = await rest.post("/Calls.json", data=form)
        body: dict[str, Any] = answer.json()
        await ended(twin, body["sid"])
        after = (await rest.get(f"/Calls/{body['sid']}.json")).json()
    assert answer.status_code == 201
    assert (body["to"], body["from"], body["direction"]) == (TO, FROM, "outbound-api")
    assert body["status"] in ("queued", "ringing")
    assert body["uri"] == f"/2010-04-01/Accounts/{twin.account.sid}/Calls/{body['sid']}.json"
    assert body["subresource_uris"]["streams"].endswith(f"{body['sid']}/Streams.json")
    assert parsedate_to_datetime(body["date_created"]).tzinfo is not None
    assert body["duration"] is None
    assert (after["status"], after["duration"]) == ("completed", "0")
    assert after["end_time"].endswith("+0000")


async def test_e9_the_official_client_understands_the_answers() -> None:
    site = Site({"/answered": "<Response><Hangup/></Response>"})
    async with site_and_twin(site) as twin:
        twin.set_callee(TO, Callee(ring_s=0.05))
        config = TwilioConfig(
            twin.account.sid, twin.account.auth_token, "http://127.0.0.1", api_base_url=twin.url
        )
        rest = TwilioRest(config)
        calls = rest._client.calls
        made = await calls.create_async(to=TO, from_=FROM, url=f"{site.url}/answered")
        call = await ended(twin, made.sid)
        fetched = await calls(made.sid).fetch_async()
        await rest.close()
    assert made.sid == call.sid
    assert made.date_created.tzinfo is not None
    assert (fetched.status, fetched.direction) == ("completed", "outbound-api")
    assert site.hits[0].fields["CallStatus"] == "in-progress"


@pytest.mark.parametrize(
    ("callee", "statuses"),
    [
        (Callee(ring_s=0.05), ["initiated", "ringing", "in-progress", "completed"]),
        (Callee("busy", 0.05), ["initiated", "ringing", "busy"]),
        (Callee("no_answer", 0.05), ["initiated", "ringing", "no-answer"]),
        (Callee("reject", 0.05), ["initiated", "ringing", "busy"]),
    ],
)
async def test_e2_a_number_behaves_as_its_policy_says(callee: Callee, statuses: list[str]) -> None:
    events = ["initiated", "ringing", "answered", "completed"]
    site = Site({"/status": ""})
    async with site_and_twin(site) as twin, client(twin) as rest:
        twin.set_callee(TO, callee)
        form = {
            "To": TO,
            "From": FROM,
            "Twiml": "<Response/>",
            "StatusCallback": f"{site.url}/status",
            "StatusCallbackEvent": events,
        }
        made = (await rest.post("/Calls.json", data=form)).json()
        call = await ended(twin, made["sid"])
    assert [entry["status"] for entry in call.timeline.of("status")] == statuses
    assert [hit.fields["CallStatus"] for hit in site.hits] == statuses
    numbers = [hit.fields["SequenceNumber"] for hit in site.hits]
    assert numbers == [str(number) for number in range(len(statuses))]


async def test_e2_whoever_is_called_follows_their_script() -> None:
    script = [Speak(tone(200)), Pause(100), HangUp()]
    async with site_and_twin(Site()) as twin, client(twin) as rest:
        twin.set_callee(TO, Callee(ring_s=0.05, script=script))
        twiml = '<Response><Pause length="20"/></Response>'
        made = await rest.post("/Calls.json", data={"To": TO, "From": FROM, "Twiml": twiml})
        call = await ended(twin, made.json()["sid"])
    assert call.heard.length_ms == 300
    assert call.heard.caller[:1600].any()


def waiting(opened: asyncio.Event) -> Talk:
    async def talk(socket: Socket) -> None:
        await socket.until("start")
        opened.set()
        await socket.until("stop")
        await socket.websocket.receive()

    return talk


VOICE = '<Response><Connect><Stream url="{ws}/media"/></Connect></Response>'


@asynccontextmanager
async def running_call() -> AsyncIterator[tuple[Site, Twin, httpx.AsyncClient, TwinCall]]:
    """A call in the middle of its media stream."""
    opened = asyncio.Event()
    documents: dict[str, str | bytes] = {
        "/voice": VOICE,
        "/next": "<Response><Hangup/></Response>",
    }
    site = Site(documents, talk=waiting(opened))
    async with site_and_twin(site) as twin, client(twin) as rest:
        call = await twin.place_call(to=FROM, script=[WaitForEnd(limit_s=30)])
        async with asyncio.timeout(10):
            await opened.wait()
        yield site, twin, rest, call


async def test_e12_completing_a_call_stops_its_stream_and_ends_it() -> None:
    async with running_call() as (site, _, rest, call):
        answer = await rest.post(f"/Calls/{call.sid}.json", data={"Status": "completed"})
        await call.wait_ended(20)
    assert answer.status_code == 200
    assert call.status == "completed"
    assert not call.gave_up
    assert site.sockets[0].seen[-1]["event"] == "stop"


@pytest.mark.parametrize(
    "form", [{"Url": "{url}/next"}, {"Twiml": "<Response><Hangup/></Response>"}]
)
async def test_e12_new_instructions_interrupt_at_once(form: dict[str, str]) -> None:
    async with running_call() as (site, _, rest, call):
        changes = {name: value.replace("{url}", site.url) for name, value in form.items()}
        answer = await rest.post(f"/Calls/{call.sid}.json", data=changes)
        await call.wait_ended(20)
    assert answer.status_code == 200
    assert [verb["name"] for verb in call.timeline.of("verb")] == ["Connect", "Hangup"]
    assert site.sockets[0].seen[-1]["event"] == "stop"


async def test_e12_what_cannot_be_changed_is_refused() -> None:
    async with running_call() as (_, _, rest, call):
        path = f"/Calls/{call.sid}.json"
        refused = [
            await rest.post("/Calls/CA0.json", data={"Status": "completed"}),
            await rest.post(path, data={"Status": "canceled"}),
            await rest.post(path, data={"Status": "dancing"}),
            await rest.post(path, data={"Twiml": "<Response/>" + " " * 4000}),
            await rest.post(path, data={"Twiml": '<Response><Dial action="a">1</Dial></Response>'}),
        ]
        await rest.post(path, data={"Status": "completed"})
        await call.wait_ended(20)
        refused.append(await rest.post(path, data={"Status": "completed"}))
        refused.append(await rest.post(path, data={"Twiml": "<Response/>"}))
    codes = [answer.json()["code"] for answer in refused]
    assert codes == [20404, 21220, 21218, 21218, 15004, 21220, 21220]


async def test_e12_a_ringing_call_can_be_cancelled_but_not_redirected() -> None:
    async with site_and_twin(Site()) as twin, client(twin) as rest:
        twin.set_callee(TO, Callee(ring_s=20))
        form = {"To": TO, "From": FROM, "Twiml": "<Response/>"}
        path = f"/Calls/{(await rest.post('/Calls.json', data=form)).json()['sid']}.json"
        redirected = await rest.post(path, data={"Twiml": "<Response/>"})
        cancelled = await rest.post(path, data={"Status": "canceled"})
        call = await ended(twin, twin.calls[0].sid)
    assert redirected.json()["code"] == 21220
    assert cancelled.status_code == 200
    assert call.status == "canceled"


def test_a_fresh_account_is_nobody_elses() -> None:
    first, second = TwinAccount.fresh(), TwinAccount.fresh()
    assert first.sid != second.sid
    assert first.auth_token not in repr(first)
    assert not first.opens(second.sid, second.auth_token)
