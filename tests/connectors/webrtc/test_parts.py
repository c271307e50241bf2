"""The parts of a web call that need no browser and no clock."""

from __future__ import annotations

import base64
import hashlib
import hmac
from fractions import Fraction

import numpy as np
import pytest
from av import AudioFrame, VideoFrame

from agent.audio import WIDEBAND
from agent.errors import ConfigurationError
from connectors.webrtc.camera import Camera, jpeg
from connectors.webrtc.config import WebCallConfig
from connectors.webrtc.ice import IceConfig, split_urls
from connectors.webrtc.messages import Digit, Typed, read_message
from connectors.webrtc.microphone import Microphone
from connectors.webrtc.playout import Playout
from connectors.webrtc.rates import RateLimit

pytestmark = pytest.mark.unit


def test_turn_credentials_expire_and_are_signed_as_a_turn_server_checks_them() -> None:
    ice = IceConfig(("stun:s:3478",), ("turn:t:3478",), "secret", 300)
    stun, turn = (server.public() for server in ice.servers(1000.7, "abc"))
    assert stun == {"urls": ["stun:s:3478"]}
    assert turn["username"] == "1300:abc"
    expected = hmac.new(b"secret", b"1300:abc", hashlib.sha1).digest()
    assert base64.b64decode(str(turn["credential"])) == expected
    assert "secret" not in repr(ice)
    assert IceConfig().servers(0, "abc") == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"stun_urls": ("http://s",)}, "VITA_STUN_URLS"),
        ({"turn_urls": ("turn:t",)}, "VITA_TURN_SECRET"),
        ({"turn_urls": ("stun:t",), "turn_secret": "s"}, "VITA_TURN_URLS"),
        ({"turn_ttl_s": 5}, "VITA_TURN_TTL_S"),
    ],
)
def test_wrong_ice_settings_are_named(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        IceConfig(**wrong)  # type: ignore[arg-type]


def test_urls_are_split_at_commas_and_spaces() -> None:
    assert split_urls(" stun:a, stun:b stun:c") == ("stun:a", "stun:b", "stun:c")
    assert split_urls("") == ()


def test_only_the_page_itself_may_begin_a_call() -> None:
    config = WebCallConfig(public_url="https://voice.example.com/")
    assert config.trusts("https://voice.example.com", "10.0.0.7:8080")
    assert config.trusts("http://127.0.0.1:8080", "127.0.0.1:8080")
    assert not config.trusts("https://evil.example", "127.0.0.1:8080")
    assert not config.trusts("null", "127.0.0.1:8080")
    assert not config.trusts("", "127.0.0.1:8080")


def test_sites_that_may_frame_the_page_are_origins() -> None:
    config = WebCallConfig(sites=("https://www.example.com",))
    assert config.frame_ancestors() == "'self' https://www.example.com"
    assert WebCallConfig().frame_ancestors() == "'self'"
    for wrong in ("*", "https://www.example.com/page", "example.com; script-src *"):
        with pytest.raises(ConfigurationError, match="VITA_CALL_PAGE_SITES"):
            WebCallConfig(sites=(wrong,))


def test_an_address_may_begin_so_many_calls_in_any_minute() -> None:
    rates = RateLimit(2)
    assert [rates.allows("a", now) for now in (0, 10, 20)] == [True, True, False]
    assert rates.allows("b", 20)
    assert not rates.allows("a", 59)
    assert rates.allows("a", 60)
    assert not rates.allows("a", 61)


def test_marks_come_back_when_their_audio_has_left() -> None:
    playout = Playout(24_000)
    playout.mark("at once")
    playout.add(b"\x01\x02" * 500)
    playout.mark("later")
    assert playout.take(960) == (b"\x01\x02" * 480, ["at once"])
    assert playout.take(960) == (b"\x01\x02" * 20 + bytes(920), ["later"])
    assert playout.take(960) == (bytes(960), [])


def test_a_clear_drops_what_was_queued_and_returns_its_marks() -> None:
    playout = Playout(24_000)
    playout.add(b"\x01\x02" * 900)
    playout.mark("one")
    playout.take(960)
    assert playout.clear() == ["one"]
    assert playout.take(960) == (bytes(960), [])
    playout.add(b"\x03\x04" * 480)
    playout.mark("two")
    assert playout.take(960) == (b"\x03\x04" * 480, ["two"])


def sound(position: int, value: int = 1000) -> AudioFrame:
    """20 ms of what aiortc decodes: 48 kHz stereo."""
    frame = AudioFrame.from_ndarray(np.full((1, 1920), value, np.int16), layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, position, Fraction(1, 48_000)
    return frame


def test_the_microphone_gives_mono_at_the_legs_rate_and_fills_what_was_lost() -> None:
    microphone = Microphone(WIDEBAND)
    frames = [f for n in range(10) for f in microphone.frames(sound(90_000 + 960 * n))]
    samples = sum(len(frame.payload) // 2 for frame in frames)
    assert 4700 <= samples <= 4800
    assert frames[0].timestamp_ms == 0
    assert WIDEBAND.decode(frames[4].payload)[0] == pytest.approx(1000, abs=20)
    # 200 ms of packets never came
    silence, *after = microphone.frames(sound(90_000 + 960 * 20))
    assert set(silence.payload) == {0}
    assert 190 <= WIDEBAND.ms(silence.payload) <= 205
    assert after[0].timestamp_ms == pytest.approx(400, abs=5)
    # after a pause of a minute only one second of silence is handed on, but time is right
    silence, *after = microphone.frames(sound(90_000 + 960 * 3020))
    assert WIDEBAND.ms(silence.payload) == 1000
    assert after[0].timestamp_ms == pytest.approx(60_400, abs=5)


def picture(red: int) -> VideoFrame:
    return VideoFrame.from_ndarray(np.full((480, 800, 3), (red, 0, 0), np.uint8), format="rgb24")


def test_the_camera_keeps_a_few_pictures_a_second_and_finds_the_one_of_a_moment() -> None:
    camera = Camera()
    camera.see(picture(1), 0.0)
    assert camera.at(9.0) is None  # it is off
    camera.switch(on=True)
    pictures = [picture(n) for n in range(200)]
    for number, each in enumerate(pictures):
        camera.see(each, number / 20)
    assert camera.at(7.55) is pictures[150]
    assert camera.at(100.0) is pictures[195]
    assert camera.at(0.0) is pictures[120]  # the oldest that is kept
    camera.switch(on=False)
    assert camera.at(100.0) is None


def test_a_still_is_a_small_jpeg() -> None:
    still = jpeg(picture(255))
    assert still.jpeg.startswith(b"\xff\xd8")
    assert (still.width, still.height) == (640, 384)


def test_the_page_is_believed_what_makes_sense_only() -> None:
    assert read_message({"type": "typed", "text": "  hi "}) == Typed(type="typed", text="hi")
    assert read_message({"type": "digit", "digit": "5"}) == Digit(type="digit", digit="5")
    for nonsense in ({"type": "digit", "digit": "55"}, {"type": "typed", "text": " "}, [], "x", {}):
        assert read_message(nonsense) is None
    assert read_message({"type": "typed", "text": "x" * 501}) is None
