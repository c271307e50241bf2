"""What callers leave at the twin: `<Record>` and the recordings' REST interface."""

from __future__ import annotations

from io import BytesIO

import pytest
import soundfile

from connectors.twilio.twin import HangUp, Pause, Press, Speak, Step, WaitForEnd
from connectors.twilio.twin.audio import tone
from tests.connectors.twin.customer import Site, site_and_twin
from tests.connectors.twin.test_rest import client

pytestmark = pytest.mark.integration

RECORD = '<Response><Record action="/left" timeout="1" maxLength="3"/><Say>Nothing</Say></Response>'
DONE = "<Response><Hangup/></Response>"
SAYS = Speak(tone(600))


@pytest.mark.parametrize(
    ("script", "digits", "seconds"),
    [
        ([Pause(800), SAYS, Press("#"), WaitForEnd()], "#", "1"),
        ([Pause(800), SAYS, WaitForEnd()], "", "3"),
        ([Pause(800), Speak(tone(5000)), WaitForEnd()], "", "3"),
        ([Pause(800), SAYS, HangUp()], "hangup", "1"),
    ],
)
async def test_e27_record_keeps_what_is_said_until_a_key_a_silence_or_the_end(
    script: list[Step], digits: str, seconds: str
) -> None:
    site = Site({"/voice": RECORD, "/left": DONE})
    async with site_and_twin(site) as twin:
        call = await twin.place_call(to="+15550100", script=script)
        await call.wait_ended(30)
        (recording,) = twin.recordings.values()
    told = site.hits[-1]
    assert (told.path, told.fields["Digits"]) == ("/left", digits)
    assert told.fields["RecordingSid"] == recording.sid
    assert told.fields["RecordingUrl"].endswith(f"/Recordings/{recording.sid}")
    assert int(told.fields["RecordingDuration"]) <= int(seconds)
    status = "completed" if digits == "hangup" else "in-progress"
    assert told.fields["CallStatus"] == status


async def test_e27_record_goes_on_when_nothing_is_said() -> None:
    site = Site({"/voice": RECORD})
    async with site_and_twin(site) as twin:
        call = await twin.place_call(to="+15550100", script=[WaitForEnd()])
        await call.wait_ended(30)
        assert twin.recordings == {}
    assert [verb["name"] for verb in call.timeline.of("verb")] == ["Record", "Say"]


async def test_e15_recordings_are_heard_and_deleted_with_the_accounts_credentials() -> None:
    site = Site({"/voice": RECORD, "/left": DONE})
    async with site_and_twin(site) as twin, client(twin) as http, client(twin, "AC", "x") as other:
        call = await twin.place_call(to="+15550100", script=[Pause(800), SAYS, Press("#")])
        await call.wait_ended(30)
        (sid,) = twin.recordings
        wav = await http.get(f"/Recordings/{sid}.wav")
        sound, rate = soundfile.read(BytesIO(wav.content))
        about = (await http.get(f"/Recordings/{sid}.json")).json()
        listed = (await http.get("/Recordings.json")).json()["recordings"]
        refused = await other.get(f"/Recordings/{sid}.wav")
        gone = await http.delete(f"/Recordings/{sid}.json")
        again = await http.get(f"/Recordings/{sid}.json")
    assert (rate, abs(sound).max() > 0.1) == (8000, True)
    assert about["call_sid"] == call.sid
    assert listed == [about]
    assert [refused.status_code, gone.status_code, again.status_code] == [401, 204, 404]
