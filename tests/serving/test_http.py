"""Plain HTTP beside the WebSocket: any method, with a body, in any pieces."""

from __future__ import annotations

from http import HTTPStatus

import httpx
import pytest

from tests.serving.conftest import Start
from vita_model.serving.http import MOST_BODY_BYTES, RequestReader

pytestmark = pytest.mark.integration

POST = b"POST /v1/x?y=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("size", [1, 3, 30, 1000])
def test_a_post_is_read_in_any_pieces_and_shown_as_a_get(size: int) -> None:
    reader = RequestReader()
    shown = b"".join(reader.feed(POST[at : at + size]) for at in range(0, len(POST), size))
    assert shown == b"GET /v1/x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n"
    assert (reader.method, reader.body, reader.refusal) == ("POST", b"hello", None)


def test_a_get_and_everything_after_it_pass_unchanged() -> None:
    reader = RequestReader()
    pieces = [b"GE", b"T / HTTP/1.1\r\n\r\n", b"\x81\x05POST "]
    assert b"".join(map(reader.feed, pieces)) == b"".join(pieces)
    assert reader.method == "GET"


@pytest.mark.parametrize(
    ("length", "refusal"),
    [
        (b"-1", HTTPStatus.BAD_REQUEST),
        (b"five", HTTPStatus.BAD_REQUEST),
        (b"5\r\nContent-Length: 6", HTTPStatus.BAD_REQUEST),
        (str(MOST_BODY_BYTES + 1).encode(), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (b"9" * 5000, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ],
)
def test_a_length_that_cannot_be_is_refused_without_its_body(
    length: bytes, refusal: HTTPStatus
) -> None:
    reader = RequestReader()
    assert reader.feed(b"POST / HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n")
    assert reader.refusal is refusal


async def test_methods_are_answered_as_any_client_expects(start: Start) -> None:
    async with start() as running, httpx.AsyncClient(base_url=f"http://{running.address}") as web:
        head = await web.head("/healthz")
        posted = await web.post("/healthz", json={"a": 1})
        large = await web.post("/healthz", content=b" " * (MOST_BODY_BYTES + 1))
    assert (head.status_code, head.content) == (200, b"")
    assert posted.status_code == 405
    assert "read" in posted.json()["error"]["message"]
    assert large.status_code == 413
