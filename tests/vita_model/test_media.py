"""Sound and video from outside are read, or refused with a sentence."""

from __future__ import annotations

import contextlib
import io
import random

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from vita_model.audio import read
from vita_model.audio.read import read_audio
from vita_model.engine.voice import PictureError
from vita_model.media import AudioError, MediaError, VideoError
from vita_model.vision import video
from vita_model.vision.picture import checked, read_picture
from vita_model.vision.video import live_frames, read_video

pytestmark = pytest.mark.unit


def tone(rate=16_000, seconds=0.5):
    return (0.5 * np.sin(2 * np.pi * 300 * np.arange(int(rate * seconds)) / rate)).astype("float32")


def sound_file(samples, rate, **options):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **options)
    return file.getvalue()


def film(frames=30, rate=10, size=(64, 48), form="mp4"):
    """Frame k is uniformly grey, 8 * k bright."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), 8 * number % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def films_sound():
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone()[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode()])
    return file.getvalue()


def brightness(picture):
    return round(float(np.asarray(picture.convert("L")).mean()))


@pytest.mark.parametrize(
    ("rate", "options"),
    [
        (8_000, {"format": "WAV", "subtype": "ULAW"}),
        (16_000, {"format": "FLAC"}),
        (22_050, {"format": "WAV", "subtype": "PCM_U8"}),
        (44_100, {"format": "WAV", "subtype": "PCM_24"}),
        (48_000, {"format": "OGG"}),
        (24_000, {"format": "MP3"}),
    ],
)
def test_files_of_any_kind_become_mono_at_16_khz(rate, options):
    samples = read_audio(sound_file(tone(rate), rate, **options))
    assert samples.dtype == np.float32
    assert samples.shape[0] == pytest.approx(8_000, abs=1_000)
    middle = samples[2_000:6_000]
    spectrum = np.abs(np.fft.rfft(middle))
    assert spectrum.argmax() * 16_000 / 4_000 == pytest.approx(300, abs=8)
    assert middle.max() == pytest.approx(0.5, abs=0.05)


def test_the_sound_of_a_film_is_taken():
    assert read_audio(films_sound()).shape[0] == pytest.approx(8_500, abs=1_000)


def test_samples_at_the_models_rate_are_not_touched():
    assert np.array_equal(read_audio((tone(), 16_000)), tone())


@pytest.mark.parametrize(
    "kind", [np.int16, np.int32, np.uint8], ids=["16 bit", "32 bit", "unsigned 8 bit"]
)
def test_integers_are_scaled_by_their_own_range(kind):
    limits = np.iinfo(kind)
    middle = (int(limits.max) + 1 + int(limits.min)) // 2
    whole = (tone().astype("float64") * (int(limits.max) - middle) + middle).astype(kind)
    assert np.abs(read_audio((whole, 16_000)) - tone()).max() < 0.01


def test_the_first_channel_counts():
    both = np.stack([tone(), np.zeros_like(tone())], axis=1)
    assert np.array_equal(read_audio((both, 16_000)), tone())
    assert read_audio(sound_file(both, 16_000, format="WAV")).max() == pytest.approx(0.5, abs=0.01)


def test_a_recording_that_breaks_off_is_used_as_far_as_it_goes():
    whole = sound_file(tone(seconds=2.0), 16_000, format="WAV")
    assert read_audio(whole[: len(whole) // 2]).shape[0] == pytest.approx(16_000, abs=200)


NAN = np.where(np.arange(8_000) == 17, np.nan, 0.0)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"", "whole sound file"),
        (b"\0" * 5_000, "whole sound file"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "whole sound file"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "whole sound file"),
        ("/nowhere/question.wav", "cannot be read"),
        ("http://127.0.0.1/question.wav", "cannot be read"),
        ("zero\0byte.wav", "cannot be read"),
        (17, "not as int"),
        (None, "not as NoneType"),
        ((np.zeros(0), 16_000), "no recording"),
        ((np.zeros(100, "float32"), 16_000), "at least 0.085 s"),
        ((np.zeros(16_000 * 1_800, np.int16), 16_000), "at most 200 s"),
        ((NAN, 16_000), "no numbers"),
        ((np.full(8_000, np.inf), 16_000), "no numbers"),
        ((tone() * 30_000, 16_000), "between -1 and 1"),
        ((tone(), 0), "rate of 0 Hz"),
        ((tone(), "fast"), "together with their rate"),
        ((np.array(["a"] * 999), 16_000), "no recording"),
        ((np.zeros((2, 2, 2)), 16_000), "no recording"),
    ],
)
def test_sound_that_cannot_be_used_is_refused_with_a_sentence(source, says):
    with pytest.raises(MediaError, match=says) as caught:
        read_audio(source)
    assert str(caught.value).endswith(".")


def test_a_file_of_many_channels_or_of_an_unknown_kind_is_refused():
    many = sound_file(np.zeros((8_000, 12), np.float32), 16_000, format="WAV")
    with pytest.raises(AudioError, match="more than 8 channels"):
        read_audio(many)
    with pytest.raises(VideoError, match="kind is not known"):
        read_video(film(3, form="matroska").replace(b"V_MPEG4", b"V_ZZZZZ"))


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_read_or_refused_and_nothing_else(seed):
    source = random.Random(seed)
    for read_it, whole in ((read_audio, films_sound()), (read_video, film(5))):
        for _ in range(8):
            data = bytearray(whole)
            for _ in range(source.choice([1, 20, 200])):
                data[source.randrange(len(data))] = source.randrange(256)
            with contextlib.suppress(MediaError):
                read_it(bytes(data))


def test_a_long_file_is_given_up_while_it_is_being_read(monkeypatch):
    monkeypatch.setattr(read, "MOST_SECONDS", 1.0)
    with pytest.raises(AudioError, match="too long"):
        read_audio(sound_file(np.zeros(16_000 * 3), 16_000, format="FLAC"))


def test_a_film_without_sound_is_no_recording():
    with pytest.raises(AudioError, match="no sound"):
        read_audio(film(3))


@pytest.mark.parametrize("form", ["mp4", "matroska", "avi"])
def test_one_frame_a_second_is_looked_at(form):
    pictures = read_video(film(60, rate=10, form=form))
    assert len(pictures) == 6
    shades = [brightness(picture) for picture in pictures]
    assert shades == pytest.approx([8 * number % 256 for number in range(0, 60, 10)], abs=6)
    assert pictures[0].size == (64, 48)


def test_a_short_film_gives_four_frames_and_a_long_one_sixteen():
    assert len(read_video(film(3))) == 4
    assert len(read_video(film(40, rate=1))) == 16


def test_a_film_that_breaks_off_repeats_its_last_picture():
    whole = film(60, form="avi")
    pictures = read_video(whole[: len(whole) // 2])
    assert len(pictures) >= 4


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "whole file"),
        (b"junk" * 500, "whole file"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "whole file"),
        (film(0), "no frames|no pictures|whole file"),
        (films_sound(), "no pictures"),
        (3.5, "not as float"),
    ],
)
def test_video_that_cannot_be_used_is_refused_with_a_sentence(data, says):
    with pytest.raises(MediaError, match=says) as caught:
        read_video(data)
    assert str(caught.value).endswith(".")


def test_long_and_large_films_are_refused(monkeypatch):
    with pytest.raises(VideoError, match="too long"):
        read_video(film(601, rate=1, size=(16, 16)))
    monkeypatch.setattr(video, "MOST_PIXELS", 1_000)
    with pytest.raises(VideoError, match="too large"):
        read_video(film(3))


def test_a_live_camera_gives_four_frames():
    shades = [Image.new("L", (16, 16), 10 * number) for number in range(8)]
    assert [brightness(frame) for frame in live_frames(shades)] == [0, 20, 40, 70]
    assert len(live_frames(shades[:1])) == 4
    with pytest.raises(VideoError, match="no frames"):
        live_frames([])


@pytest.mark.parametrize("size", [(1, 1), (20_000, 20_000), (20_000, 3)])
def test_pictures_too_small_or_too_large_are_refused(size):
    picture = Image.new("1", size)
    file = io.BytesIO()
    picture.save(file, "PNG")
    with pytest.raises(PictureError, match="pixels; send at"):
        read_picture(file.getvalue(), 448)
    with pytest.raises(PictureError, match="pixels; send at"):
        checked(picture)


def test_a_long_narrow_picture_is_read():
    assert checked(Image.new("L", (20_000, 40))).size == (20_000, 40)
