"""The requests of a call page, without a browser: everything that is to be refused is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from agent.cli.agent_server import AgentServer
from tests.browser.agent import agent

pytestmark = pytest.mark.integration

NOWHERE = "ws://127.0.0.1:1/v1/realtime"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[AgentServer]:
    settings = {"turn_urls": "turn:t.example:3478", "turn_secret": "s", "max_calls": 2}
    async with agent(
        tmp_path,
        NOWHERE,
        web_calls_per_minute=4,
        call_page_sites="https://shop.example",
        **settings,
    ) as running:
        yield running


@pytest.fixture
async def page(server: AgentServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=server.url, headers={"Origin": server.url}, trust_env=False, timeout=20
    ) as client:
        yield client


async def test_the_page_tells_its_line_and_shuts_others_out(page: httpx.AsyncClient) -> None:
    answer = await page.get("/call/brightside")
    assert answer.status_code == 200
    assert "Brightside Dental" in answer.text
    assert "You will talk to a virtual assistant." in answer.text
    assert "{{" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'self' https://shop.example" in policy
    assert "default-src 'none'" in policy
    for file in ("main.js", "call.css", "icon.svg"):
        assert f"/call/assets/{file}" in answer.text
        assert (await page.get(f"/call/assets/{file}")).status_code == 200
    assert (await page.get("/call/assets/call.html")).status_code == 404
    missing = await page.get("/call/nobody")
    assert missing.status_code == 404
    assert "Nobody answers here" in missing.text


async def test_a_press_gets_a_token_and_short_lived_turn_credentials(
    page: httpx.AsyncClient,
) -> None:
    begun = await page.post("/call/brightside/calls", json={})
    assert begun.status_code == 201
    assert begun.headers["cache-control"] == "no-store"
    body = begun.json()
    assert body["call"].startswith("brightside.")
    assert len(body["token"]) >= 20
    (turn,) = body["ice_servers"]
    assert turn["urls"] == ["turn:t.example:3478"]
    assert turn["username"]
    assert turn["credential"]


async def test_what_makes_no_sense_is_refused_and_frees_its_place(
    page: httpx.AsyncClient, server: AgentServer
) -> None:
    begun = (await page.post("/call/brightside/calls", json={})).json()
    stolen = {"call": begun["call"], "token": "guessed", "sdp": "v=0"}
    refused = await page.post("/call/brightside/offer", json=stolen)
    assert (refused.status_code, refused.json()["code"]) == (403, "token_rejected")
    other = await page.post("/call/other/offer", json={**stolen, "token": begun["token"]})
    assert (other.status_code, other.json()["code"]) == (403, "another_line")
    garbage = {"call": begun["call"], "token": begun["token"], "sdp": "v=0 garbage"}
    bad = await page.post("/call/brightside/offer", json=garbage)
    assert (bad.status_code, bad.json()["code"]) == (400, "bad_offer")
    again = await page.post("/call/brightside/offer", json=garbage)
    assert again.json()["code"] == "token_rejected"
    assert server.application.desk.slots.in_use == 0
    late = {"peer": "none", "candidates": [{"candidate": "x"}]}
    assert (await page.patch("/call/brightside/offer", json=late)).status_code == 404
    assert (await page.post("/call/brightside/offer", content=b"{")).status_code == 400
    long = await page.post("/call/brightside/offer", content=b"x" * 70_000)
    assert long.status_code == 413


async def test_foreign_pages_floods_and_a_full_house_are_turned_away(
    page: httpx.AsyncClient,
) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
        foreign = await page.post("/call/brightside/calls", json={}, headers=headers)
        assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_page")
    unknown = await page.post("/call/nobody/calls", json={})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "line_not_found")
    places = [await page.post("/call/brightside/calls", json={}) for _ in range(4)]
    assert [place.status_code for place in places] == [201, 201, 503, 429]
    assert places[2].json()["code"] == "at_capacity"
    assert places[3].json()["code"] == "too_many_calls"


async def test_a_closed_line_tells_what_the_business_wrote(tmp_path: Path) -> None:
    another_day = (datetime.now(UTC) + timedelta(days=2)).strftime("%a").lower()
    line = {
        "hours": {"time_zone": "UTC", "open": {another_day: "9:00-17:00"}},
        "after_hours": "say",
        "after_hours_text": "We are closed. Call tomorrow.",
    }
    async with agent(tmp_path, NOWHERE, line) as server, httpx.AsyncClient() as client:
        begun = await client.post(
            f"{server.url}/call/brightside/calls", json={}, headers={"Origin": server.url}
        )
        assert begun.json() == {"code": "after_hours", "message": "We are closed. Call tomorrow."}
        assert server.application.desk.slots.in_use == 0


async def test_a_page_may_go_on_with_its_own_call_only(page: httpx.AsyncClient) -> None:
    begun = (await page.post("/call/brightside/calls", json={})).json()
    again = await page.post("/call/brightside/calls", json={"call": begun["call"]})
    assert again.status_code == 201
    assert again.json()["call"] == begun["call"]
    assert again.json()["token"] != begun["token"]
    for wrong, status in (("brightside.short", 400), ("x." + "a" * 22, 403), ("", 400)):
        refused = await page.post("/call/brightside/calls", json={"call": wrong})
        assert refused.status_code == status
