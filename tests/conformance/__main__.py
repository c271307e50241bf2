"""Every client against `vita model serve`: `python -m tests.conformance [CLIENT ...]`.

Prints the table of clients and behaviours; exits with 1 if one of them failed. The Python clients
run in the environment named by `--python`, the one from npm in the folder named by `--npm`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conformance.clients.task import BEHAVIOURS, EXAMPLE, ON_A_PAGE
from tests.conformance.material import lay_out
from tests.conformance.relay import relay

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "clients"


@dataclass(frozen=True, slots=True)
class Client:
    """The program that tries a client, its example, and what is tried.

    The page in the folder of examples is both.
    """

    program: str
    example: str | None
    behaviours: tuple[str, ...] = BEHAVIOURS


CLIENTS = {
    "openai": Client("tests.conformance.clients.openai_sdk", "openai_sdk.py"),
    "pipecat": Client("tests.conformance.clients.pipecat_service", "pipecat_bot.py"),
    "livekit": Client("tests.conformance.clients.livekit_plugin", "livekit_agent.py"),
    "agents": Client("tests/conformance/clients/agents.cjs", "agents.mjs"),
    "browser": Client("tests.conformance.clients.page", None, ON_A_PAGE),
}

Results = dict[str, tuple[bool, str]]
CLIENT_S = 900.0
START_S = 300.0


@asynccontextmanager
async def served(key: str, log: Path) -> AsyncIterator[int]:
    """`vita model serve` with vita-tiny; gives its port."""
    port = _free_port()
    key_file = log.with_name("key")
    key_file.write_text(key)
    serve = ["-c", "from agent.cli.main import app; app()", "model", "serve", "--port", str(port)]
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *serve, "--api-key-file", str(key_file), "--drain-s", "0"),
            stdout=out,
            stderr=out,
            cwd=ROOT,
        )
    try:
        async with asyncio.timeout(START_S):
            while not await asyncio.to_thread(_is_ready, port):
                if process.returncode is not None:
                    sys.exit(f"The model server ended; its log is {log}.")
                await asyncio.sleep(0.3)
        yield port
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success
    return False


async def run_client(command: list[str], behaviours: tuple[str, ...], log: Path) -> Results:
    """Run one client; gives for every behaviour whether it passed and what was seen."""
    told, _ = await _run(command, log)
    results: Results = dict.fromkeys(behaviours, (False, "told nothing"))
    for line in told.splitlines():
        if line.startswith('{"behaviour"'):
            found = json.loads(line)
            results[found["behaviour"]] = (found["ok"], found["seen"])
    return results


async def run_example(command: list[str], folder: Path, task: dict[str, str]) -> tuple[bool, str]:
    """Run an example on the recorded question; gives whether the answer is right, and its words."""
    answer = folder / "answer.wav"
    answer.unlink(missing_ok=True)
    instructions = (folder / "instructions.txt").read_text()
    named = {"--url": task["url"], "--key": task["key"], "--instructions": instructions}
    if command[0] == "node":
        options = list(named.values())
    else:
        options = [word for pair in named.items() for word in pair]
    recordings = [str(folder / "open_monday.wav"), str(answer)]
    log = folder / "example.log"
    told, status = await _run([*command, *recordings, *options], log)
    with suppress(OSError, EOFError, wave.Error), wave.open(str(answer)) as file:
        spoken = file.getnframes() > file.getframerate() / 2
        right = "you: what time do you open on monday" in told and "9 am" in told
        return status == 0 and spoken and right, " / ".join(told.splitlines())
    sys.stderr.write(log.read_text()[-12_000:])
    return False, f"exit status {status}, no answer was written: {told[-200:]}"


async def _run(command: list[str], log: Path) -> tuple[str, int]:
    """What a program wrote, and its exit status."""
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=out, cwd=ROOT
        )
        try:
            async with asyncio.timeout(CLIENT_S):
                told, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            told, _ = await process.communicate()
    return told.decode(), process.returncode or 0


async def conform(names: list[str], python: str, npm: Path) -> bool:
    """Run the clients one after the other and print the table. True if all of it passed."""
    key = secrets.token_urlsafe(16)
    rows: dict[str, Results] = {}
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        lay_out(logs)
        async with served(key, logs / "server.log") as port, relay(port) as (door, cutter):
            task = {"url": f"http://127.0.0.1:{door}/v1", "key": key}
            told = task | {"cutter": cutter, "npm": str(npm)}
            (logs / "task.json").write_text(json.dumps(told))
            for name in names:
                client, log = CLIENTS[name], logs / f"{name}.log"
                script = client.program.endswith(".cjs")
                interpreter = python if client.example else sys.executable
                command = ["node"] if script else [interpreter, "-m"]
                rows[name] = await run_client(
                    [*command, client.program, folder], client.behaviours, log
                )
                if client.example is not None:
                    start = _example(EXAMPLES / client.example, python, npm)
                    rows[name][EXAMPLE] = await run_example(start, logs, task)
                passed = all(ok for ok, _ in rows[name].values())
                if not passed:
                    print(log.read_text()[-12_000:], file=sys.stderr)  # noqa: T201
    print(table(rows))  # noqa: T201
    return all(ok for row in rows.values() for ok, _ in row.values())


def _example(script: Path, python: str, npm: Path) -> list[str]:
    """How an example is started; one for Node.js finds its libraries beside itself."""
    if script.suffix == ".mjs":
        return ["node", shutil.copy(script, npm)]
    return [python, str(script)]


def table(rows: dict[str, Results]) -> str:
    """Clients against behaviours, then what was seen."""
    columns = (*BEHAVIOURS, EXAMPLE)
    lines = [f"| client | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name, row in rows.items():
        found = [row.get(column) for column in columns]
        marks = ["-" if one is None else "passed" if one[0] else "FAILED" for one in found]
        lines.append(f"| {name} | {' | '.join(marks)} |")
    lines.append("")
    for name, row in rows.items():
        lines += [f"{name}, {behaviour}: {seen}" for behaviour, (_, seen) in row.items()]
    return "\n".join(lines)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(CLIENTS))
    parser.add_argument("--python", default=sys.executable, help="has the Python clients")
    parser.add_argument("--npm", type=Path, default=ROOT, help="folder with node_modules")
    options = parser.parse_args()
    if unknown := set(options.clients) - set(CLIENTS):
        parser.error(f"There is no client {unknown.pop()!r}; there are {', '.join(CLIENTS)}.")
    names = options.clients or list(CLIENTS)
    sys.exit(0 if asyncio.run(conform(names, options.python, options.npm.resolve())) else 1)


if __name__ == "__main__":
    main()
