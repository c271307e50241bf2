"""Keys for one session each, as a business's server makes them and a page uses them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from websockets.exceptions import InvalidStatus

from tests.serving.conftest import Start, send, until
from vita_model.serving.client_secrets import MOST, ClientSecrets
from vita_model.serving.events import ProtocolError
from vita_model.serving.key_file import Keys
from vita_model.serving.keys import Key, digest_of

pytestmark = pytest.mark.integration

PATH = "/v1/realtime/client_secrets"
WEBSITE = Key("website", digest_of("site"), frozenset({"client_secrets"}), sessions=1)
AGENTS = Key("agents", digest_of("agents"), frozenset({"sessions"}))


def shown(value: str) -> dict[str, Any]:
    return {"subprotocols": ["realtime", f"openai-insecure-api-key.{value}"]}


async def test_a_secret_opens_one_session_with_its_settings(start: Start) -> None:
    async with start(keys=Keys([WEBSITE, AGENTS])) as running:
        client = AsyncOpenAI(base_url=f"http://{running.address}/v1", api_key="site")
        made = await client.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={"type": "realtime", "instructions": "Be brief."},
        )
        assert made.value.startswith("ek_")
        assert made.session.type == "realtime"
        async with running.connect(**shown(made.value)) as socket:
            (created,) = await until(socket, "session.created")
            assert created["session"]["instructions"] == "Be brief."
            assert socket.subprotocol == "realtime"
            another = await client.realtime.client_secrets.create()
            with pytest.raises(InvalidStatus) as over:
                await running.connect(**shown(another.value))
            assert over.value.response.status_code == 429
            await send(socket, "session.update", session={"type": "realtime"})
            await until(socket, "session.updated")
        with pytest.raises(InvalidStatus) as used:
            await running.connect(**shown(made.value))
        assert used.value.response.status_code == 401


async def test_who_may_make_secrets_and_what_is_refused(start: Start) -> None:
    keys = Keys([WEBSITE, AGENTS])
    async with (
        start(keys=keys) as running,
        httpx.AsyncClient(base_url=f"http://{running.address}") as web,
    ):
        site = {"Authorization": "Bearer site"}
        for wrong in ({}, {"Authorization": "Bearer agents"}, {"Authorization": "Bearer ek_x"}):
            assert (await web.post(PATH, headers=wrong)).status_code == 401
        assert (await web.get(PATH, headers=site)).status_code == 405
        for body in (
            {"expires_after": {"seconds": 5}},
            {"session": {"output_modalities": ["smell"]}},
            {"session": []},
        ):
            refused = await web.post(PATH, headers=site, json=body)
            assert refused.status_code == 400
            assert refused.json()["error"]["message"]
        made = (await web.post(PATH, headers=site)).json()
        assert "session" in made
        with pytest.raises(InvalidStatus):
            await running.connect(**shown("site"))
        keys.ring = Keys([AGENTS]).ring
        with pytest.raises(InvalidStatus) as revoked:
            await running.connect(**shown(made["value"]))
        assert revoked.value.response.status_code == 401


def test_a_secret_expires_and_unused_ones_have_a_limit() -> None:
    now = 1_000.0
    secrets = ClientSecrets(lambda: now)
    value, secret = secrets.make(b'{"expires_after": {"seconds": 10}}', None, "any")
    assert secret.expires_at == 1_010
    assert secrets.find(["other", value]) is secret
    now = 1_010.0
    assert secrets.find([value]) is None
    for _ in range(MOST):
        secrets.make(b"", None, "any")
    with pytest.raises(ProtocolError, match="wait to be used"):
        secrets.make(b"", None, "any")
    now += 600
    secrets.make(b"", None, "any")


async def test_tools_that_calls_cannot_be_held_to_are_refused_at_once(start: Start) -> None:
    tool = {"type": "function", "name": "odd", "parameters": {"not": {}}}
    async with (
        start() as running,
        httpx.AsyncClient(base_url=f"http://{running.address}") as web,
    ):
        refused = await web.post(PATH, json={"session": {"tools": [tool]}})
    assert refused.status_code == 400
    assert "'odd'" in refused.json()["error"]["message"]
