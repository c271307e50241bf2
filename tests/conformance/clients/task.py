"""What every client is asked to do, and how it tells what came of it. Standard library only."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEHAVIOURS = (
    "voice turn",
    "tool round trip",
    "interruption with truncation",
    "image input",
    "reconnect",
)
ON_A_PAGE = ("voice turn", "interruption with truncation", "image input")
EXAMPLE = "example"
"""The script for this client in `examples/clients`, which the runner tries by itself."""

RATE = 24_000
PATIENCE_S = 150
ORDER_QUESTION = "Where is my order 48213?"
ORDER_RESULT = {"order_id": "48213", "status": "out for delivery"}
ORDER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}},
    "required": ["order_id"],
}


@dataclass(frozen=True, slots=True)
class Task:
    """Addresses and material of one run, as the runner gives them.

    Attributes:
        url: Of the interface, `http://127.0.0.1:PORT/v1`.
        cutter: Port that cuts the client's connections when something connects to it.
        open_monday: "What time do you open on Monday?", 16-bit mono PCM at 24 kHz.
        what_colour: "What colour is this?", in the same form.
        circle: A red circle as JPEG.
        folder: Where all of this lies.
        examples: The folder `examples/clients`.
    """

    url: str
    key: str
    cutter: int
    instructions: str
    open_monday: bytes
    what_colour: bytes
    circle: bytes
    folder: Path
    examples: Path = Path(__file__).parents[3] / "examples" / "clients"

    @classmethod
    def laid_out(cls) -> Task:
        """What the runner has written into the folder that is the program's argument."""
        folder = Path(sys.argv[1])
        addresses = json.loads((folder / "task.json").read_text())
        return cls(
            url=addresses["url"],
            key=addresses["key"],
            cutter=addresses["cutter"],
            instructions=(folder / "instructions.txt").read_text(),
            open_monday=(folder / "open_monday.pcm").read_bytes(),
            what_colour=(folder / "what_colour.pcm").read_bytes(),
            circle=(folder / "circle.jpg").read_bytes(),
            folder=folder,
        )

    def cut(self) -> None:
        """Cut every connection to the server, without a goodbye. Returns when it is done."""
        with socket.create_connection(("127.0.0.1", self.cutter), timeout=5) as line:
            line.recv(16)


def report(behaviour: str, *, ok: bool, seen: str) -> None:
    """Tell the runner about one behaviour."""
    print(json.dumps({"behaviour": behaviour, "ok": ok, "seen": seen}), flush=True)  # noqa: T201


async def run_all(behaviours: dict[str, Callable[[], Awaitable[str]]]) -> None:
    """Try each behaviour by itself. One returns what was seen, or raises."""
    for name, behave in behaviours.items():
        try:
            async with asyncio.timeout(PATIENCE_S):
                seen = await behave()
        except Exception as error:  # noqa: BLE001 - whatever went wrong belongs in the table
            traceback.print_exc()
            report(name, ok=False, seen=f"{type(error).__name__}: {error}"[:200])
        else:
            report(name, ok=True, seen=seen)


def check(condition: object, sentence: str) -> None:
    """Fail the behaviour with a sentence.

    Raises:
        AssertionError: the condition does not hold.
    """
    if not condition:
        raise AssertionError(sentence)
