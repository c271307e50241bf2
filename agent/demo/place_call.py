"""A call with anybody's recordings: through a twin that runs, or with everything started here."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from agent.calls.call import call_id_for
from agent.calls.repository import CallRepository
from agent.demo import DEMO_LINES
from agent.demo.caller import Manners
from agent.demo.conversation import follow
from agent.demo.phone import CARRIER, phone
from agent.demo.processes import open_house
from agent.demo.run import new_console
from agent.demo.show import Screen
from agent.errors import CarrierError
from agent.settings import load_settings
from agent.store import migrate
from agent.store.engine import Database
from agent.tasks import TaskOwner
from connectors.twilio.twin import Speak

ANSWER_LIMIT_S = 30.0
POLL_S = 0.5
REST_TIMEOUT_S = 10.0
LOG_LIMIT_S = 3.0

_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What is said, on which line, and where what was heard goes."""

    recordings: tuple[Path, ...]
    number: str
    out: Path


async def call_embedded(
    options: CallOptions,
    lines: Path | None,
    data_dir: Path,
    model_url: str,
    checkpoint: Path | None,
) -> None:
    """Start everything, call, and stop everything.

    Raises:
        VitaError: Something could not be read or started, or no line has the number.
    """
    speaks = [Speak.file(path) for path in options.recordings]
    screen = Screen(new_console())
    async with open_house(
        data_dir,
        lines or DEMO_LINES,
        step=screen.step,
        model_url=model_url,
        checkpoint=checkpoint,
    ) as house:
        screen.title(f"calling {house.lines.find(options.number).business}, {options.number}")
        made = await phone(house, options.number, speaks, manners=Manners(), screen=screen)
        made.call.heard.save(options.out)
    screen.title("files")
    screen.files(heard=options.out, log=data_dir / "calls.db")


async def call_through(twin: str, options: CallOptions) -> None:
    """Call through a running twin; the conversation is shown from the agent's call log.

    Args:
        twin: Base URL of the twin.
        options: What to say, where.

    Raises:
        BadAudioError: A recording cannot be read.
        CarrierError: No twin answers there, or the call came to no good end.
    """
    for path in options.recordings:
        Speak.file(path)
    screen = Screen(new_console())
    async with httpx.AsyncClient(base_url=twin, timeout=REST_TIMEOUT_S, trust_env=False) as client:
        placed = await _ask(client, "POST", "/_emu/calls", _order(options))
        screen.title(f"calling {options.number} through {twin}")
        ended = await _watch(client, str(placed["sid"]), screen)
        heard = await client.get(f"/_emu/calls/{placed['sid']}/heard.wav")
    options.out.write_bytes(heard.content)
    if ended["gave_up"]:
        raise CarrierError(f"The caller gave up: {ended['gave_up']}.")
    screen.title("files")
    screen.files(heard=options.out)


async def _watch(client: httpx.AsyncClient, sid: str, screen: Screen) -> dict[str, Any]:
    """Show the call from the log, when there is one here, until the twin says it is over."""
    database = Database(load_settings().sql_url())
    try:
        async with TaskOwner("call") as tasks:
            showing = None
            if await asyncio.to_thread(migrate.current, database.url):
                calls = CallRepository(database)
                work = follow(calls, call_id_for(CARRIER, sid), screen.told)
                showing = tasks.spawn(work, name="follow")
            else:
                screen.say("  The agent's call log is elsewhere (VITA_DATA_DIR): only listening.")
            while (state := await _state(client, sid))["status"] not in _OVER:  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
            if showing is not None:
                await asyncio.wait({showing}, timeout=LOG_LIMIT_S)
            return state
    finally:
        await database.close()


async def _state(client: httpx.AsyncClient, sid: str) -> dict[str, Any]:
    return await _ask(client, "GET", f"/_emu/calls/{sid}")


def _order(options: CallOptions) -> dict[str, Any]:
    """The call as the twin's interface takes it."""
    wait = {
        "do": "wait_for_agent",
        "silence_ms": Manners().silence_ms,
        "limit_s": ANSWER_LIMIT_S,
    }
    script: list[dict[str, Any]] = [wait]
    for path in options.recordings:
        audio = base64.b64encode(path.read_bytes()).decode("ascii")
        script += [{"do": "say", "audio": audio}, wait]
    return {"to": options.number, "script": [*script, {"do": "hang_up"}]}


async def _ask(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    try:
        answer = await client.request(method, path, json=body)
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
    except httpx.HTTPStatusError as error:
        raise CarrierError(f"The twin refused: {error.response.text[:200]}") from error
    except (httpx.HTTPError, ValueError) as error:
        raise CarrierError(
            f"No carrier twin answers at {client.base_url}: start one with `vita twin`."
        ) from error
    return content
