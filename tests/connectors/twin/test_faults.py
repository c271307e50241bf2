"""What the twin does wrong on purpose, and how it retries, falls back and queues as Twilio does."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from connectors.twilio.twin import Callee, Pause, Twin, TwinCall, WaitForEnd
from connectors.twilio.twin.faults import Bad, bad_message
from connectors.twilio.twin.webhooks import TOKEN_HEADER, Overrides
from tests.connectors.twin.customer import Site, Socket, site_and_twin
from tests.connectors.twin.test_rest import client, ended

pytestmark = pytest.mark.integration

HANG_UP = "<Response><Hangup/></Response>"
STREAM = '<Response><Connect><Stream url="{ws}/media"/></Connect></Response>'
ORDER = {"To": "+15550123", "From": "+15550100", "Url": "{url}/voice"}


async def one_call(twin: Twin, *, pause_ms: int = 0) -> TwinCall:
    script = [Pause(pause_ms)] if pause_ms else [WaitForEnd(limit_s=20)]
    call = await twin.place_call(to="+15550100", script=script)
    await call.wait_ended(30)
    return call


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("", Overrides()),
        (
            "#ct=1000&rt=4000&tt=9000&rc=2&rp=ct,5xx",
            Overrides(1.0, 4.0, 9.0, 2, frozenset({"ct", "5xx"})),
        ),
        ("#ct=1&rt=99999&rc=9&x=y", Overrides()),
    ],
)
def test_e19_a_fragment_tunes_the_connection(fragment: str, expected: Overrides) -> None:
    assert Overrides.of(f"https://a.example/voice{fragment}") == (
        "https://a.example/voice",
        expected,
    )


async def test_e21_a_retry_carries_the_token_of_the_first_try() -> None:
    site = Site({"/voice": HANG_UP})
    async with site_and_twin(site, voice_url="{url}/voice#rc=2&rp=rt") as twin:
        twin.faults.lost_answers = 2
        call = await one_call(twin)
    assert site.paths() == ["/voice"] * 3
    assert len({hit.headers[TOKEN_HEADER.lower()] for hit in site.hits}) == 1
    assert [request["status"] for request in call.timeline.of("request")] == [0, 0, 200]
    assert call.status == "completed"


async def test_e19_what_the_policy_does_not_name_is_not_tried_again() -> None:
    site = Site({"/voice": HANG_UP})
    async with site_and_twin(site, voice_url="{url}/voice#rc=2&rp=ct") as twin:
        twin.faults.lost_answers = 1
        call = await one_call(twin)
    assert site.paths() == ["/voice"]
    assert call.timeline.errors() == [11200]


async def test_e20_the_fallback_is_asked_and_told_why() -> None:
    site = Site({"/static": HANG_UP})
    async with site_and_twin(site, fallback_url="{url}/static") as twin:
        call = await one_call(twin)
    first, second = site.hits
    assert (first.path, second.path) == ("/voice", "/static")
    assert (second.fields["ErrorCode"], second.fields["ErrorUrl"]) == ("11200", first.url)
    assert call.status == "completed"


EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})


async def reports(site: Site, **faults: Any) -> list[tuple[str, str]]:
    async with site_and_twin(site, status_url="{url}/status", status_events=EVENTS) as twin:
        for name, value in faults.items():
            setattr(twin.faults, name, value)
        await one_call(twin)
    return [
        (hit.fields["CallStatus"], hit.fields["SequenceNumber"])
        for hit in site.hits
        if hit.path == "/status"
    ]


async def test_e22_reports_are_numbered_in_order() -> None:
    site = Site({"/voice": HANG_UP, "/status": "<Response/>"})
    assert await reports(site) == [("ringing", "0"), ("in-progress", "1"), ("completed", "2")]


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ({"status_copies": 2}, ["ringing"] * 2 + ["in-progress"] * 2 + ["completed"] * 2),
        ({"status_copies": 0}, []),
        ({"status_order": "reversed"}, ["completed", "in-progress", "ringing"]),
        ({"status_delay_s": 0.05}, ["ringing", "in-progress", "completed"]),
    ],
)
async def test_e23_reports_come_twice_reversed_late_or_never(
    faults: dict[str, Any], expected: list[str]
) -> None:
    site = Site({"/voice": HANG_UP, "/status": "<Response/>"})
    assert [status for status, _ in await reports(site, **faults)] == expected


async def test_e10_calls_wait_for_their_turn_and_too_many_are_refused() -> None:
    site = Site({"/voice": HANG_UP})
    async with site_and_twin(site, calls_per_second=1 / 60) as twin, client(twin) as http:
        twin.set_callee(ORDER["To"], Callee(ring_s=0.0))
        order = ORDER | {"Url": f"{site.url}/voice"}
        placed = [(await http.post("/Calls.json", data=order)).json() for _ in range(3)]
        waits = [int(call["queue_time"]) // 1000 for call in placed]
        assert waits[0] == 0
        assert 0 < waits[1] <= 60 < waits[2] <= 120, "one a minute"
        assert (await ended(twin, placed[0]["sid"])).status == "completed"
        assert [call.status for call in twin.calls[1:]] == ["queued"] * 2
        twin.faults.rest = deque([429, 500])
        codes = [(await http.post("/Calls.json", data=order)).json()["code"] for _ in range(2)]
        assert codes == [20429, 20500]
        for _ in range(100):
            refused = await http.post("/Calls.json", data=order)
            if refused.status_code == 429:
                break
        assert refused.json()["code"] == 20429, "the queue is full"


async def test_e11_calls_are_listed_newest_first_page_by_page() -> None:
    async with site_and_twin(Site({"/voice": HANG_UP})) as twin, client(twin) as http:
        sids = [(await one_call(twin)).sid for _ in range(3)]
        first = (await http.get("/Calls.json", params={"PageSize": 2})).json()
        assert [call["sid"] for call in first["calls"]] == [sids[2], sids[1]]
        rest = (await http.get(f"{twin.url}{first['next_page_uri']}")).json()
        assert [call["sid"] for call in rest["calls"]] == [sids[0]]
        assert rest["next_page_uri"] is None
        none = (await http.get("/Calls.json", params={"Status": "busy"})).json()
        assert none["calls"] == []


async def keep(socket: Socket) -> None:
    """Read until the stream ends."""
    await socket.until("stop")


async def test_e44_lost_frames_leave_a_hole_in_time_and_late_ones_come_at_once() -> None:
    site = Site({"/voice": STREAM}, talk=keep)
    async with site_and_twin(site) as twin:
        twin.faults.frames.loss = 0.2
        twin.faults.frames.jitter = 4
        await one_call(twin, pause_ms=1500)
    media = [m["media"] for m in site.sockets[0].seen if m["event"] == "media"]
    times = [int(each["timestamp"]) for each in media]
    assert times == sorted(times)
    assert len(times) < (times[-1] - times[0]) // 20 + 1, "some are missing"
    assert [int(each["chunk"]) for each in media] == list(range(1, len(media) + 1))


async def test_e44_a_half_open_stream_sends_nothing_and_says_nothing() -> None:
    async def until_start(socket: Socket) -> None:
        await socket.until("start")
        await socket.websocket.close()

    site = Site({"/voice": STREAM}, talk=until_start)
    async with site_and_twin(site) as twin:
        call = await twin.place_call(to="+15550100", script=[Pause(300)])
        await call.wait_ended(20)
        twin.faults.frames.half_open = True
        silent = await twin.place_call(to="+15550100", script=[Pause(300)])
        await silent.wait_ended(20)
    assert not site.sockets[1].seen[2:], "connected and start, no media"


@pytest.mark.parametrize("bad", ["not_json", "binary", "unknown_event", "bad_audio", "start"])
async def test_e44_messages_that_make_no_sense_are_sent_when_asked_for(bad: Bad) -> None:
    raw: list[str | bytes | None] = []

    async def read(socket: Socket) -> None:
        await socket.until("start")
        message = await socket.websocket.receive()
        raw.append(message.get("text") or message.get("bytes"))
        await socket.websocket.close()

    site = Site({"/voice": STREAM}, talk=read)
    async with site_and_twin(site) as twin:
        twin.faults.frames.bad = deque([bad])
        await one_call(twin, pause_ms=400)
    assert raw == [bad_message(bad, site.sockets[0].stream_sid)]


async def test_e45_the_verdict_on_who_answered_comes_beside_the_call() -> None:
    site = Site({"/voice": '<Response><Pause length="1"/></Response>', "/amd": "<Response/>"})
    async with site_and_twin(site) as twin, client(twin) as http:
        machine = Callee(ring_s=0.0, answered_by="machine_end_beep", verdict_s=0.2)
        twin.set_callee(ORDER["To"], machine)
        form = ORDER | {
            "Url": f"{site.url}/voice",
            "MachineDetection": "DetectMessageEnd",
            "AsyncAmd": "true",
            "AsyncAmdStatusCallback": f"{site.url}/amd",
        }
        placed = (await http.post("/Calls.json", data=form)).json()
        call = await ended(twin, placed["sid"])
        shown = (await http.get(f"/Calls/{call.sid}.json")).json()
    verdict = next(hit for hit in site.hits if hit.path == "/amd")
    assert verdict.fields["AnsweredBy"] == "machine_end_beep"
    assert verdict.fields["MachineDetectionDuration"] == "200"
    assert shown["answered_by"] == "machine_end_beep"
    assert site.paths()[0] == "/voice", "nothing waited for it"


async def test_e12_a_call_ends_at_its_time_limit() -> None:
    site = Site({"/voice": '<Response><Pause length="30"/></Response>'})
    async with site_and_twin(site) as twin, client(twin) as http:
        twin.set_callee(ORDER["To"], Callee(ring_s=0.0))
        form = ORDER | {"Url": f"{site.url}/voice", "TimeLimit": "1"}
        placed = (await http.post("/Calls.json", data=form)).json()
        assert (await ended(twin, placed["sid"])).status == "completed"
        wrong = (await http.post("/Calls.json", data=form | {"TimeLimit": "soon"})).json()
        assert wrong["code"] == 21218
