"""TwiML performed on real calls to a real web site."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import soundfile
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from connectors.twilio.twin import (
    Callee,
    Pause,
    Press,
    Speak,
    Step,
    Twin,
    TwinAccount,
    TwinCall,
    WaitForAgent,
    WaitForEnd,
)
from connectors.twilio.twin.audio import tone
from tests.connectors.twin.customer import Site, Socket, site_and_twin

pytestmark = pytest.mark.integration


def response(*verbs: str) -> str:
    return f"<Response>{''.join(verbs)}</Response>"


async def call(twin: Twin, *script: Step) -> TwinCall:
    placed = await twin.place_call(to="+15550100", script=script or [WaitForEnd(limit_s=20)])
    await placed.wait_ended(30)
    return placed


def performed(placed: TwinCall) -> list[str]:
    return [verb["name"] for verb in placed.timeline.of("verb")]


async def test_e1_an_inbound_call_asks_the_voice_url_with_the_standard_fields() -> None:
    site = Site({"/voice": response("<Hangup/>")})
    async with site_and_twin(site) as twin:
        placed = await twin.place_call(to="+15550100", from_="+15550123")
        await placed.wait_ended(20)
    (hit,) = site.hits
    fields = hit.fields
    assert (hit.method, hit.path) == ("POST", "/voice")
    assert (fields["CallSid"], fields["AccountSid"]) == (placed.sid, twin.account.sid)
    assert (fields["From"], fields["To"]) == ("+15550123", "+15550100")
    assert (fields["CallStatus"], fields["Direction"]) == ("ringing", "inbound")
    assert fields["FromCity"] == ""
    statuses = [entry["status"] for entry in placed.timeline.of("status")]
    assert statuses == ["ringing", "in-progress", "completed"]


async def test_e19_a_fragment_is_neither_sent_nor_signed() -> None:
    site = Site({"/voice": response()})
    async with site_and_twin(site, voice_url="{url}/voice#ct=1000&rc=2") as twin:
        await call(twin)
    (hit,) = site.hits
    assert hit.url == f"{site.url}/voice"
    validator = RequestValidator(twin.account.auth_token)
    expected = validator.compute_signature(hit.url, hit.fields)
    assert hit.headers["x-twilio-signature"] == expected


async def test_e26_bad_documents_end_the_call_with_their_error() -> None:
    for body, kind, code in [
        ("<Response>", "text/xml", 12100),
        ("<Response/>", "application/json", 12300),
    ]:
        site = Site({"/voice": body}, content_type=kind)
        async with site_and_twin(site) as twin:
            placed = await call(twin)
        assert placed.timeline.errors() == [code]
        assert placed.status == "failed"


async def test_e26_a_site_that_fails_or_is_gone_ends_the_call() -> None:
    async with site_and_twin(Site()) as twin:
        assert (await call(twin)).timeline.errors() == [11200]
    async with site_and_twin(Site(), voice_url="http://127.0.0.1:1/voice") as twin:
        assert (await call(twin)).timeline.errors() == [11205]


async def test_e27_say_takes_the_time_a_voice_would_and_is_heard() -> None:
    async with site_and_twin(Site({"/voice": response("<Say>Hello there</Say>")})) as twin:
        placed = await call(twin)
    assert placed.timeline.of("verb")[0]["text"] == "Hello there"
    assert placed.heard.first_audio_ms is not None
    assert placed.heard.length_ms >= 11 * 65


async def test_e27_say_can_be_silent() -> None:
    site = Site({"/voice": response("<Say>Hello there</Say>")})
    async with site_and_twin(site, voice="silence") as twin:
        placed = await call(twin)
    assert placed.heard.first_audio_ms is None
    assert placed.heard.length_ms >= 11 * 65


async def test_e27_play_fetches_and_plays_a_file() -> None:
    content = BytesIO()
    soundfile.write(content, tone(300).repeat(2), 16000, format="WAV")
    site = Site(
        {
            "/voice": response("<Play>/hello.wav</Play>"),
            "/hello.wav": content.getvalue(),
        }
    )
    async with site_and_twin(site) as twin:
        placed = await call(twin)
    loud = np.flatnonzero(np.abs(placed.heard.agent.astype(int)) > 1000)
    assert 2000 < loud[-1] - loud[0] < 2400, "300 ms, resampled"


async def test_e27_play_of_something_else_is_a_warning_and_the_call_goes_on() -> None:
    play = "<Play>/text.wav</Play><Play>/missing.wav</Play>"
    site = Site({"/voice": response(play, "<Hangup/>"), "/text.wav": b"no sound"})
    async with site_and_twin(site) as twin:
        placed = await call(twin)
    assert [warning["code"] for warning in placed.timeline.of("warning")] == [11200, 11200]
    assert performed(placed) == ["Play", "Play", "Hangup"]


async def test_e27_pause_is_silence_of_its_length() -> None:
    async with site_and_twin(Site({"/voice": response('<Pause length="1"/>')})) as twin:
        placed = await call(twin)
    assert placed.heard.length_ms >= 1000
    assert placed.heard.first_audio_ms is None


@pytest.mark.parametrize(
    ("attributes", "keys", "digits"),
    [
        ('numDigits="2"', "1234", "12"),
        ('timeout="0.4"', "12", "12"),
        ("", "12#", "12"),
        ('finishOnKey="*"', "1#*", "1#"),
    ],
)
async def test_e27_gather_collects_keys(attributes: str, keys: str, digits: str) -> None:
    gather = f'<Gather action="/keys" {attributes}><Say>{"Choose. " * 40}</Say></Gather>'
    site = Site({"/voice": response(gather), "/keys": response("<Hangup/>")})
    async with site_and_twin(site) as twin:
        await call(twin, Pause(200), Press(keys), WaitForEnd(limit_s=20))
    assert site.hits[1].path == "/keys"
    assert site.hits[1].fields["Digits"] == digits


async def test_e27_gather_without_keys_falls_through() -> None:
    site = Site({"/voice": response('<Gather action="/keys" timeout="0.1"/>', "<Hangup/>")})
    async with site_and_twin(site) as twin:
        placed = await call(twin)
    assert performed(placed) == ["Gather", "Hangup"]


async def test_e27_redirect_goes_on_with_another_document() -> None:
    site = Site(
        {
            "/voice": response('<Redirect method="GET">{url}/next?a=1</Redirect>', "<Say>no</Say>"),
            "/next": response("<Hangup/>"),
        }
    )
    async with site_and_twin(site) as twin:
        placed = await call(twin)
    assert performed(placed) == ["Redirect", "Hangup"]
    assert site.hits[1].method == "GET"
    assert f"CallSid={placed.sid}" in site.hits[1].url


async def test_e27_redirecting_for_ever_ends() -> None:
    site = Site({"/voice": response("<Redirect>/voice</Redirect>")})
    async with site_and_twin(site) as twin:
        placed = await call(twin)
    assert placed.timeline.errors() == [12205]


async def test_e27_hangup_ends_the_call_there() -> None:
    async with site_and_twin(Site({"/voice": response("<Hangup/>", "<Say>no</Say>")})) as twin:
        placed = await call(twin)
    assert performed(placed) == ["Hangup"]
    assert placed.status == "completed"


@pytest.mark.parametrize(("reason", "status"), [("busy", "busy"), ("rejected", "failed")])
async def test_e27_reject_never_answers(reason: str, status: str) -> None:
    site = Site({"/voice": response(f'<Reject reason="{reason}"/>')})
    async with site_and_twin(site) as twin:
        placed = await call(twin)
    assert placed.status == status
    assert placed.answered_at is None
    assert placed.heard.length_ms == 0


@pytest.mark.parametrize(
    ("callee", "status"),
    [
        (Callee(ring_s=0.1, script=[Speak(tone(200)), Pause(100)]), "completed"),
        (Callee(policy="busy", ring_s=0.1), "busy"),
        (Callee(policy="no_answer", ring_s=0.1), "no-answer"),
        (Callee(ring_s=5.0), "no-answer"),
    ],
)
async def test_e27_dial_tells_its_action_how_it_went(callee: Callee, status: str) -> None:
    dial = '<Dial action="/dialled" timeout="0.5"><Number>+15550199</Number></Dial>'
    site = Site({"/voice": response(dial), "/dialled": response("<Hangup/>")})
    async with site_and_twin(site) as twin:
        twin.set_callee("+15550199", callee)
        placed = await call(twin)
    fields = site.hits[1].fields
    assert fields["DialCallStatus"] == status
    assert fields["DialCallSid"].startswith("CA")
    assert (placed.heard.first_audio_ms is not None) == (status == "completed")


async def test_e27_a_dialled_person_hears_the_caller() -> None:
    site = Site({"/voice": response("<Dial>+15550199</Dial>")})
    async with site_and_twin(site) as twin:
        answer = [WaitForAgent(silence_ms=100, limit_s=5), Speak(tone(200))]
        twin.set_callee("+15550199", Callee(ring_s=0.1, script=answer))
        placed = await call(twin, Pause(400), Speak(tone(200)), WaitForEnd(limit_s=10))
    assert len(placed.heard.answer_delays_ms) == 1
    assert not placed.gave_up


async def test_e28_relative_addresses_stand_on_the_documents_own() -> None:
    site = Site(
        {
            "/voice": response("<Redirect>/deep/er/one</Redirect>"),
            "/deep/er/one": response("<Redirect>two</Redirect>"),
            "/deep/er/two": response("<Redirect>../three</Redirect>"),
            "/deep/three": response(),
        }
    )
    async with site_and_twin(site) as twin:
        await call(twin)
    assert site.paths() == ["/voice", "/deep/er/one", "/deep/er/two", "/deep/three"]


async def test_e29_the_end_of_the_document_hangs_up() -> None:
    async with site_and_twin(Site({"/voice": response()})) as twin:
        placed = await call(twin)
    assert placed.status == "completed"
    assert not placed.gave_up


async def close_at_once(socket: Socket) -> None:
    await socket.until("start")
    await socket.websocket.close(1000)


CONNECT = '<Connect{}><Stream url="{{ws}}/media"/></Connect>'


async def test_e30_connect_with_an_action_goes_there() -> None:
    site = Site(
        {
            "/voice": response(CONNECT.format(' action="/after"'), "<Say>no</Say>"),
            "/after": response("<Hangup/>"),
        },
        talk=close_at_once,
    )
    async with site_and_twin(site) as twin:
        placed = await call(twin)
    assert performed(placed) == ["Connect", "Hangup"]
    assert site.hits[1].fields["CallStatus"] == "in-progress"


async def test_e30_connect_without_an_action_falls_through() -> None:
    site = Site(
        {
            "/voice": response(CONNECT.format(""), "<Redirect>/after</Redirect>"),
            "/after": response(),
        },
        talk=close_at_once,
    )
    async with site_and_twin(site) as twin:
        placed = await call(twin)
    assert performed(placed) == ["Connect", "Redirect"]


async def test_e30_a_stream_that_fails_to_start_falls_through_too() -> None:
    site = Site(
        {"/voice": response('<Connect><Stream url="{ws}/nowhere"/></Connect>', "<Hangup/>")}
    )
    async with site_and_twin(site) as twin:
        placed = await call(twin)
    assert performed(placed) == ["Connect", "Hangup"]
    assert placed.timeline.errors() == [31920]


@pytest.mark.parametrize("signing", ["auth_token", "shared_key"])
async def test_e18_webhooks_are_signed_both_ways(signing: str) -> None:
    account = TwinAccount.fresh(signing)  # type: ignore[arg-type]
    site = Site({"/voice": response()})
    async with site_and_twin(site, account) as twin:
        await call(twin)
    (hit,) = site.hits
    settings = hit.headers.get("x-twilio-webhooks-signature-settings", "")
    length = len(hit.headers["x-twilio-signature"])
    if signing == "auth_token":
        assert (settings, length) == ("", 28)
    else:
        assert settings == f"key={account.shared_key_id},algorithm=HMAC_SHA256"
        assert length == 44


async def test_e22_the_end_is_reported_once_with_its_duration() -> None:
    site = Site({"/voice": response('<Pause length="1"/>'), "/status": ""})
    async with site_and_twin(site, status_url="{url}/status") as twin:
        placed = await call(twin)
    reports = [hit.fields for hit in site.hits if hit.path == "/status"]
    assert [report["CallStatus"] for report in reports] == ["completed"]
    assert reports[0]["SequenceNumber"] == "0"
    assert int(reports[0]["CallDuration"]) >= 1
    assert placed.status == "completed"


async def test_e3_a_caller_can_be_steered_while_the_call_runs() -> None:
    site = Site({"/voice": response("<Gather action='/keys' timeout='9' numDigits='1'/>")})
    site.documents["/keys"] = response('<Pause length="30"/>')
    async with site_and_twin(site) as twin:
        placed = await twin.place_call(to="+15550100", script=[WaitForEnd(limit_s=30)])
        placed.press("4")
        placed.say(Speak(tone(100)))
        placed.hang_up()
        await placed.wait_ended(20)
    assert placed.status == "completed"
    assert placed.timeline.of("caller")[-1] == {"hung_up": True, "gave_up": ""}


def test_loudness_of_the_stand_in_voice() -> None:
    assert 500 < np.sqrt(np.mean(tone(500).astype(float) ** 2)) < 8000


async def test_e32_the_leg_to_a_dialled_person_is_told_of_with_its_parent() -> None:
    events = "initiated ringing answered completed"
    number = f'<Number statusCallback="/leg" statusCallbackEvent="{events}">+15550199</Number>'
    site = Site(
        {"/voice": response(f'<Dial action="/after">{number}</Dial>'), "/after": response()}
    )
    async with site_and_twin(site) as twin:
        twin.set_callee("+15550199", Callee(ring_s=0.1, script=[Pause(200)]))
        placed = await call(twin)
    legs = [hit.fields for hit in site.hits if hit.path == "/leg"]
    assert [leg["CallStatus"] for leg in legs] == events.replace("answered", "in-progress").split()
    assert [leg["SequenceNumber"] for leg in legs] == ["0", "1", "2", "3"]
    assert {leg["ParentCallSid"] for leg in legs} == {placed.sid}
    assert {leg["Direction"] for leg in legs} == {"outbound-dial"}
    (after,) = [hit.fields for hit in site.hits if hit.path == "/after"]
    assert {leg["CallSid"] for leg in legs} == {after["DialCallSid"]}


async def test_e43_a_stream_reports_its_start_its_end_and_what_went_wrong() -> None:
    async def bad(socket: Socket) -> None:
        await socket.until("media")
        await socket.send("teleport")
        await socket.until("never")

    document = response(
        '<Connect><Stream url="{ws}/media" statusCallback="{url}/stream"/></Connect>'
    )
    site = Site({"/voice": document}, talk=bad)
    async with site_and_twin(site) as twin:
        placed = await call(twin, Pause(1500))
    told = [hit.fields for hit in site.hits if hit.path == "/stream"]
    assert [each["StreamEvent"] for each in told] == [
        "stream-started",
        "stream-error",
        "stream-stopped",
    ]
    assert told[1]["StreamError"] == "31924"
    assert {each["CallSid"] for each in told} == {placed.sid}
