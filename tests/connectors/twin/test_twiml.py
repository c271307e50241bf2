from __future__ import annotations

import pytest

from connectors.twilio.twin.twiml import TwimlError, parse

pytestmark = pytest.mark.unit


def test_e26_a_document_becomes_verbs_with_attributes_text_and_children() -> None:
    document = parse(
        b"""<?xml version="1.0" encoding="UTF-8"?>
        <Response>
          <Say voice="alice">Hi &amp; welcome</Say>
          <Connect action="/after"><Stream url="wss://a/b">
            <Parameter name="token" value="t"/>
          </Stream></Connect>
        </Response>""",
        "text/xml; charset=utf-8",
    )
    say, connect = document.verbs
    assert (say.name, say.text, say.attributes) == ("Say", "Hi & welcome", {"voice": "alice"})
    stream = connect.child("Stream")
    assert stream is not None
    assert stream.children[0].attributes == {"name": "token", "value": "t"}
    assert document.warnings == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"<Response>",
        b"<Response></Other>",
        b"<Response/><Response/>",
        b"<Reply/>",
        b"<Response>\xff\xfe</Response>",
        b"<Response>&nbsp;</Response>",
        b'<!DOCTYPE r [<!ENTITY a "aaaa">]><Response>&a;</Response>',
        b"<Response>" + b" " * 70_000 + b"</Response>",
        b'<?xml version="1.0" encoding="klingon"?><Response/>',
    ],
)
def test_e26_bad_xml_is_12100(body: bytes) -> None:
    with pytest.raises(TwimlError) as refused:
        parse(body, "text/xml")
    assert refused.value.code == 12100


@pytest.mark.parametrize("kind", ["application/json", "text/html", ""])
def test_e26_a_wrong_content_type_is_12300(kind: str) -> None:
    with pytest.raises(TwimlError) as refused:
        parse(b"<Response/>", kind)
    assert refused.value.code == 12300


def test_e26_unknown_verbs_attributes_and_nouns_are_warnings() -> None:
    document = parse(
        b"<Response><Dance/><Say mood='gay'>Hi<b>!</b></Say><Dial><Fax>1</Fax></Dial></Response>",
        "application/xml",
    )
    assert [verb.name for verb in document.verbs] == ["Say", "Dial"]
    assert document.verbs[0].attributes == {}
    assert len(document.warnings) == 4


def test_an_empty_response_has_no_verbs() -> None:
    assert parse(b"<Response/>", "text/xml").verbs == ()
