from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agent.errors import CarrierError
from connectors.server import AppServer
from connectors.twilio.call_control import TwilioCallControl, TwilioRest
from connectors.twilio.config import TwilioConfig
from tests.connectors.desk import HUMAN

pytestmark = pytest.mark.integration


def carrier(statuses: list[int], seen: list[dict[str, str]], code: int = 20500) -> FastAPI:
    """A REST interface that answers with these statuses, one after the other."""
    app = FastAPI()

    @app.post("/2010-04-01/Accounts/AC1/Calls/CA1.json")
    async def update(request: Request) -> Response:
        form = await request.form()
        seen.append({name: str(value) for name, value in form.items()})
        status = statuses.pop(0)
        if status == 200:
            return JSONResponse({"sid": "CA1", "status": "completed"})
        return JSONResponse({"code": code, "message": "no"}, status)

    return app


def control(url: str) -> tuple[TwilioRest, TwilioCallControl]:
    config = TwilioConfig("AC1", "token", "https://voice.example.com", api_base_url=url)
    rest = TwilioRest(config)
    return rest, TwilioCallControl(rest, config, "CA1")


async def test_hanging_up_completes_the_call() -> None:
    seen: list[dict[str, str]] = []
    async with AppServer(carrier([200], seen)) as server:
        rest, call = control(server.url)
        await call.hang_up()
        await rest.close()
    assert seen == [{"Status": "completed"}]


async def test_a_transfer_dials_and_comes_back_to_the_resume_url() -> None:
    seen: list[dict[str, str]] = []
    async with AppServer(carrier([200], seen)) as server:
        rest, call = control(server.url)
        await call.transfer(HUMAN)
        await rest.close()
    (form,) = seen
    assert HUMAN in form["Twiml"]
    assert 'action="https://voice.example.com/twilio/after#' in form["Twiml"]
    assert len(form["Twiml"]) < 4000


@pytest.mark.parametrize("first", [500, 503, 429])
async def test_a_passing_fault_gets_a_second_try(first: int) -> None:
    seen: list[dict[str, str]] = []
    async with AppServer(carrier([first, 200], seen)) as server:
        rest, call = control(server.url)
        await call.hang_up()
        await rest.close()
    assert len(seen) == 2


async def test_two_tries_are_all() -> None:
    seen: list[dict[str, str]] = []
    async with AppServer(carrier([500, 500], seen)) as server:
        rest, call = control(server.url)
        with pytest.raises(CarrierError, match="HTTP 500"):
            await call.transfer(HUMAN)
        await rest.close()
    assert len(seen) == 2


async def test_a_refusal_is_not_tried_again() -> None:
    seen: list[dict[str, str]] = []
    async with AppServer(carrier([400], seen, code=21218)) as server:
        rest, call = control(server.url)
        with pytest.raises(CarrierError, match="21218"):
            await call.hang_up()
        await rest.close()
    assert len(seen) == 1


@pytest.mark.parametrize(("status", "code"), [(400, 21220), (404, 20404)])
async def test_a_call_that_is_over_can_be_hung_up_but_not_transferred(
    status: int, code: int
) -> None:
    seen: list[dict[str, str]] = []
    async with AppServer(carrier([status, status], seen, code)) as server:
        rest, call = control(server.url)
        await call.hang_up()
        with pytest.raises(CarrierError, match="over"):
            await call.transfer(HUMAN)
        await rest.close()


async def test_a_carrier_out_of_reach_is_one_clear_sentence() -> None:
    async with AppServer(FastAPI()) as server:
        url = server.url
    rest, call = control(url)
    with pytest.raises(CarrierError, match="does not answer"):
        await call.hang_up()
    await rest.close()


async def test_credentials_travel_as_basic_auth() -> None:
    app, seen = FastAPI(), []

    @app.post("/{path:path}")
    async def update(request: Request) -> JSONResponse:
        seen.append(request.headers["authorization"])
        return JSONResponse({"sid": "CA1"})

    async with AppServer(app) as server:
        rest, call = control(server.url)
        await call.hang_up()
        await rest.close()
    expected = httpx.BasicAuth("AC1", "token")._auth_header
    assert seen == [expected]
