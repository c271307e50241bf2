"""The eye names what is held to the camera; pictures from outside are read with care."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.vita_tiny.material import question
from vita_model.engine.tiny import TinyVoice
from vita_model.engine.voice import (
    PictureError,
    Request,
    Text,
    UserImage,
    UserSpeech,
    UserText,
)
from vita_model.training.pictures import Shown, plain
from vita_model.training.vision import rates
from vita_model.vision.picture import read_picture
from vita_model.vision.words import NOTHING, Sight

pytestmark = pytest.mark.model


def test_names_colours_and_things_of_new_pictures(voice: TinyVoice) -> None:
    sight = Sight(voice.parts.tokenizer, voice.parts.language.table)
    right = rates(voice.parts.eye, sight, 160, seed="other")
    assert right["colour"] > 0.9
    assert right["thing"] > 0.7


async def said(voice: TinyVoice, facts: str, shown: Shown, asked: UserSpeech | UserText) -> str:
    seen = await voice.see(file(plain(shown)))
    request = Request(f"{shown}{asked}", facts, [], [UserImage(seen), asked], speak=False)
    return "".join([e.delta async for e in voice.reply(request) if isinstance(e, Text)])


async def test_tells_what_is_shown_when_asked_aloud(voice: TinyVoice, facts: str) -> None:
    asked = UserSpeech(await voice.hear(question("what_do_you_see")))
    pairs = list(itertools.product(("red", "blue"), ("triangle", "4")))
    answers = [await said(voice, facts, Shown(*pair), asked) for pair in pairs]
    right = [all(word in text for word in pair) for pair, text in zip(pairs, answers, strict=True)]
    assert sum(right) >= 3, answers


async def test_says_when_the_picture_shows_nothing(voice: TinyVoice, facts: str) -> None:
    asked = UserText("What am I holding?")
    assert "can't see" in await said(voice, facts, Shown("red", NOTHING), asked)


def file(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("1", "PNG"),
        ("LA", "PNG"), ("RGBA", "PNG"),
    ],
)  # fmt: skip
async def test_pictures_of_every_form_are_seen(voice: TinyVoice, mode: str, kind: str) -> None:
    picture = plain(Shown("red", "circle"))
    seen = await voice.see(file(picture.convert(mode), kind))
    assert seen.rows in {3, 4}


def test_what_is_transparent_becomes_white() -> None:
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert read_picture(file(clear, "PNG"), 64).getpixel((5, 5)) == (255, 255, 255)


def test_sixteen_bits_of_grey_become_eight() -> None:
    grey = Image.fromarray(np.full((64, 64), 0x80FF, np.uint16))
    assert read_picture(file(grey, "PNG"), 64).getpixel((5, 5)) == (128, 128, 128)


def test_the_first_frame_of_an_animation_counts() -> None:
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    moving = file(red, "PNG", save_all=True, append_images=[blue])
    assert read_picture(moving, 64).getpixel((5, 5)) == (255, 0, 0)


def test_a_photo_is_turned_as_its_camera_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = file(Image.new("RGB", (80, 40)), exif=exif)
    assert read_picture(wide, 64).size == (40, 80)


def test_a_large_photo_is_decoded_small() -> None:
    photo = file(Image.new("RGB", (4_000, 3_000), "green"))
    assert max(read_picture(photo, 64).size) < 1_000


def bomb() -> bytes:
    """A PNG whose header promises 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(10_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


WHOLE = file(plain(Shown("blue", "7"), (320, 240)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "whole JPEG or PNG"),
        (b"GIF89a" + bytes(40), "whole JPEG or PNG"),
        (file(Image.new("RGB", (40, 40)), "GIF"), "whole JPEG or PNG"),
        (WHOLE[: len(WHOLE) // 2], "whole JPEG or PNG"),
        (b"\xff\xd8\xff" + bytes(400), "whole JPEG or PNG"),
        (bomb(), "at most 25 million"),
        (file(Image.new("RGB", (1, 1)), "PNG"), "at least 8"),
    ],
)  # fmt: skip
async def test_bad_pictures_are_refused_with_the_reason(
    voice: TinyVoice, data: bytes, reason: str
) -> None:
    with pytest.raises(PictureError, match=reason):
        await voice.see(data)
