from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from starlette.datastructures import Headers

from agent.errors import ConfigurationError
from connectors.twilio.config import TwilioConfig
from connectors.twilio.signature import SignatureCheck

pytestmark = pytest.mark.unit

TOKEN = "token"
FIELDS = [("CallSid", "CA1"), ("To", "+15550100"), ("FromCity", "")]


def sign(text: str, secret: str = TOKEN, digest: str = "sha1") -> str:
    """The signature as the public documentation describes it, by hand."""
    mac = hmac.new(secret.encode(), text.encode(), getattr(hashlib, digest))
    return base64.b64encode(mac.digest()).decode()


def signed_text(url: str) -> str:
    return url + "CallSidCA1" + "FromCity" + "To+15550100"


def check(public_url: str = "https://voice.example.com", **settings: object) -> SignatureCheck:
    config = TwilioConfig("AC1", TOKEN, public_url, **settings)  # type: ignore[arg-type]
    return SignatureCheck(config)


def headers(signature: str, settings: str = "") -> Headers:
    pairs = {"x-twilio-signature": signature}
    return Headers(
        pairs | {"x-twilio-webhooks-signature-settings": settings} if settings else pairs
    )


@pytest.mark.parametrize(
    "url", ["https://voice.example.com/twilio/voice", "https://voice.example.com:443/twilio/voice"]
)
def test_a_webhook_is_accepted_with_and_without_the_default_port(url: str) -> None:
    given = headers(sign(signed_text(url)))
    assert check().webhook(b"/twilio/voice", b"", FIELDS, given)


@pytest.mark.parametrize(
    "url", ["https://voice.example.com:8443/twilio/voice", "https://voice.example.com/twilio/voice"]
)
def test_an_odd_port_may_be_left_out_of_the_signature(url: str) -> None:
    given = headers(sign(signed_text(url)))
    assert check("https://voice.example.com:8443").webhook(b"/twilio/voice", b"", FIELDS, given)


def test_an_ipv6_origin_keeps_its_brackets() -> None:
    given = headers(sign(signed_text("http://[::1]/twilio/voice")))
    assert check("http://[::1]:8080").webhook(b"/twilio/voice", b"", FIELDS, given)


def test_the_query_is_part_of_what_is_signed() -> None:
    given = headers(sign(signed_text("https://voice.example.com/twilio/after?n=1")))
    assert check().webhook(b"/twilio/after", b"n=1", FIELDS, given)
    assert not check().webhook(b"/twilio/after", b"n=2", FIELDS, given)


def test_repeated_fields_are_sorted_and_counted_once() -> None:
    fields = [*FIELDS, ("To", "+15550100"), ("To", "+1")]
    text = "https://voice.example.com/twilio/voiceCallSidCA1FromCityTo+1To+15550100"
    assert check().webhook(b"/twilio/voice", b"", fields, headers(sign(text)))


@pytest.mark.parametrize(
    "given",
    [
        Headers({}),
        headers(""),
        headers("not base64 at all"),
        headers("sígnature"),
        headers(sign(signed_text("https://voice.example.com/twilio/voice"), secret="other")),
        headers(sign(signed_text("https://evil.example.com/twilio/voice"))),
        headers(sign(signed_text("https://voice.example.com/twilio/status"))),
    ],
)
def test_anything_else_is_refused(given: Headers) -> None:
    assert not check().webhook(b"/twilio/voice", b"", FIELDS, given)


def test_a_changed_field_breaks_the_signature() -> None:
    given = headers(sign(signed_text("https://voice.example.com/twilio/voice")))
    changed = [("CallSid", "CA2"), *FIELDS[1:]]
    assert not check().webhook(b"/twilio/voice", b"", changed, given)


def test_a_token_being_rotated_out_still_works() -> None:
    given = headers(sign(signed_text("https://voice.example.com/twilio/voice"), secret="old"))
    assert check(older_auth_tokens=("old",)).webhook(b"/twilio/voice", b"", FIELDS, given)
    assert not check().webhook(b"/twilio/voice", b"", FIELDS, given)


def test_a_shared_key_signs_with_sha256() -> None:
    text = signed_text("https://voice.example.com/twilio/voice")
    keys = check(shared_keys={"key1": "shared"})
    settings = "key=key1,algorithm=HMAC_SHA256"
    good = sign(text, secret="shared", digest="sha256")
    assert keys.webhook(b"/twilio/voice", b"", FIELDS, headers(good, settings))
    assert not check().webhook(b"/twilio/voice", b"", FIELDS, headers(good, settings))
    assert not keys.webhook(b"/twilio/voice", b"", FIELDS, headers(good))


@pytest.mark.parametrize(
    "settings",
    ["key=key2,algorithm=HMAC_SHA256", "key=key1", "key=key1,algorithm=HMAC_SHA1", "nonsense"],
)
def test_named_keys_and_algorithms_must_be_ours(settings: str) -> None:
    text = signed_text("https://voice.example.com/twilio/voice")
    keys = check(shared_keys={"key1": "shared"})
    for digest in ("sha1", "sha256"):
        for secret in ("shared", "token", ""):
            given = headers(sign(text, secret=secret, digest=digest), settings)
            assert not keys.webhook(b"/twilio/voice", b"", FIELDS, given)


@pytest.mark.parametrize(
    "url",
    [
        "wss://voice.example.com/twilio/media",
        "wss://voice.example.com:443/twilio/media",
        "wss://voice.example.com/twilio/media/",
    ],
)
def test_an_upgrade_is_signed_over_the_wss_address(url: str) -> None:
    assert check().upgrade(b"/twilio/media", b"", headers(sign(url)))


def test_an_upgrade_signed_over_https_is_refused() -> None:
    given = headers(sign("https://voice.example.com/twilio/media"))
    assert not check().upgrade(b"/twilio/media", b"", given)


@pytest.mark.parametrize(
    "url", ["voice.example.com", "ftp://a", "https://a/path", "https://u:p@a", "https://a:x", ""]
)
def test_a_public_url_that_is_no_origin_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must look like"):
        TwilioConfig("AC1", "token", url)


def test_secrets_do_not_show_in_the_configuration() -> None:
    config = TwilioConfig("AC1", "t0ken", "https://a", ("0ld",), {"k": "sh4red"})
    assert not any(secret in repr(config) for secret in ("t0ken", "0ld", "sh4red"))
