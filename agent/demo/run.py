"""The demonstration: start everything, make one real call, show it, judge it."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from agent.demo.caller import Manners
from agent.demo.console import OpenConsole, open_console
from agent.demo.memory import resident_bytes
from agent.demo.phone import PhoneCall, phone
from agent.demo.picture import call_sheet, draw_call
from agent.demo.processes import House, open_house
from agent.demo.script import Question, load_questions
from agent.demo.show import Screen
from agent.demo.verdict import collect_answers, judge
from connectors.twilio.twin import Speak

EXIT_WORKED = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What may be chosen about a demonstration.

    Attributes:
        lines: The lines file.
        number: The line that is called.
        callers: Manifest of the questions; their recordings lie beside it.
        data_dir: Folder of everything that is written.
        model_url: A model server that runs already; one is started when empty.
        checkpoint: Weights for the one that is started; vita-tiny when None.
        stay: Keep everything running after the call, until Ctrl-C.
    """

    lines: Path
    number: str
    callers: Path
    data_dir: Path
    model_url: str = ""
    checkpoint: Path | None = None
    stay: bool = False


def new_console() -> Console:
    """The terminal; wide enough for a sentence where the output goes to a file."""
    return Console(width=None if sys.stdout.isatty() else 110)


async def run_demo(options: DemoOptions, console: Console) -> int:
    """Run the demonstration and return the exit code: 0 only if the call really worked.

    Raises:
        VitaError: Something could not be started or read; the sentence says what.
    """
    here = asyncio.current_task()
    if here is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, here.cancel)
    questions = load_questions(options.callers)
    folder = options.callers.parent
    recordings = [Speak.file(folder / name) for question in questions for name in question.files]
    screen = Screen(console)
    try:
        screen.title("starting, all on this machine")
        async with open_house(
            options.data_dir,
            options.lines,
            step=screen.step,
            model_url=options.model_url,
            checkpoint=options.checkpoint,
        ) as house:
            line = house.lines.find(options.number)
            _introduce(screen, house)
            screen.title(f"calling {line.business}, {line.number}")
            call = await phone(house, options.number, recordings, manners=Manners(), screen=screen)
            worked = _report(screen, house, call, questions, line.facts)
            if options.stay:
                await _stay(screen, house, options.number)
    except asyncio.CancelledError:
        return EXIT_INTERRUPTED
    return EXIT_WORKED if worked else EXIT_FAILED


def _introduce(screen: Screen, house: House) -> None:
    name = house.card.get("model_name", "a Realtime model")
    licence = house.card.get("model_licence", "unknown")
    screen.say(f"  {name} speaks; licence of its weights: {licence}")


def _report(
    screen: Screen,
    house: House,
    call: PhoneCall,
    questions: tuple[Question, ...],
    facts: tuple[str, ...],
) -> bool:
    record = call.record
    screen.title("the call, as the log has it")
    screen.stored_call(record)
    heard = house.data_dir / "heard.wav"
    call.call.heard.save(heard)
    files = {"log": house.data_dir / "calls.db", "heard": heard}
    if record.recordings and (recording := Path(record.recordings[-1].path)).exists():
        files["recording"], files["picture"] = recording, recording.with_suffix(".png")
        draw_call(call_sheet(record, recording), files["picture"])
    screen.title("files")
    screen.files(**files)
    screen.say(f"  memory     {resident_bytes() / 2**20:.0f} MiB in all processes together")
    screen.title("did it work?")
    verdict = judge(questions, facts, collect_answers(record, questions, call.asked), record)
    screen.verdict(verdict)
    return not verdict.failures


async def _stay(screen: Screen, house: House, number: str) -> None:
    """Keep the house open, with its web pages, until Ctrl-C."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    async with AsyncExitStack() as stack:
        with screen.step("console"):
            console = await stack.enter_async_context(open_console(house))
        _invite(screen, house, number, console)
        await stop.wait()
        screen.say("\n  stopping …")


def _invite(screen: Screen, house: House, number: str, console: OpenConsole) -> None:
    """Tell what may be tried now."""
    line = house.lines.find(number)
    screen.title("still running: try it, Ctrl-C ends it")
    if line.web:
        screen.say(f"  talk to it   [cyan]{house.agent.url}/call/{line.web}[/cyan]")
    screen.say(f"  the console  [cyan]{console.url}[/cyan]")
    screen.say(f"               sign in as {console.email}, password {console.password}")
    screen.say("\n  from another terminal:")
    vita = _command()
    data = f"VITA_DATA_DIR={_relative(house.data_dir)}"
    for command in (
        f"{data} {vita} call --twin {house.twin.url} --line {number} --wav your-question.wav",
        f"{vita} chat --model-url {house.model_url} --line {number}",
        f"{data} {vita} calls list",
    ):
        screen.say(f"  [cyan]{command}[/cyan]")


def _command() -> str:
    """How this program was called, for commands to type."""
    called = Path(sys.argv[0])
    return str(_relative(called.absolute())) if called.name == "vita" else "vita"


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
