"""Every client against `vita model serve`: `python -m tests.conformance [CLIENT ...]`.

Prints the table of clients and behaviours; exits with 1 if one of them failed. The Python clients
run in the environment named by `--python`, the one from npm in the folder named by `--npm`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from tests.conformance.clients.task import BEHAVIOURS
from tests.conformance.material import lay_out
from tests.conformance.relay import relay

ROOT = Path(__file__).parents[2]
CLIENTS = {
    "openai": "tests.conformance.clients.openai_sdk",
    "pipecat": "tests.conformance.clients.pipecat_service",
    "livekit": "tests.conformance.clients.livekit_plugin",
    "agents": "tests/conformance/clients/agents.cjs",
}
CLIENT_S = 360.0
START_S = 120.0


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


async def run_client(command: list[str], log: Path) -> dict[str, tuple[bool, str]]:
    """Run one client; gives for every behaviour whether it passed and what was seen."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=out, cwd=ROOT
        )
        try:
            async with asyncio.timeout(CLIENT_S):
                told, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            told, _ = await process.communicate()
    results = dict.fromkeys(BEHAVIOURS, (False, "told nothing"))
    for line in told.decode().splitlines():
        if line.startswith('{"behaviour"'):
            found = json.loads(line)
            results[found["behaviour"]] = (found["ok"], found["seen"])
    return results


async def conform(names: list[str], python: str, npm: Path) -> bool:
    """Run the clients one after the other and print the table. True if all of it passed."""
    key = secrets.token_urlsafe(16)
    rows: dict[str, dict[str, tuple[bool, str]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        lay_out(logs)
        async with served(key, logs / "server.log") as port, relay(port) as (door, cutter):
            task = {"url": f"http://127.0.0.1:{door}/v1", "key": key, "cutter": cutter}
            (logs / "task.json").write_text(json.dumps(task | {"npm": str(npm)}))
            for name in names:
                program = CLIENTS[name]
                script = program.endswith(".cjs")
                command = ["node", program] if script else [python, "-m", program]
                log = logs / f"{name}.log"
                rows[name] = await run_client([*command, folder], log)
                passed = all(ok for ok, _ in rows[name].values())
                if not passed:
                    print(log.read_text()[-12_000:], file=sys.stderr)  # noqa: T201
    print(table(rows))  # noqa: T201
    return all(ok for row in rows.values() for ok, _ in row.values())


def table(rows: dict[str, dict[str, tuple[bool, str]]]) -> str:
    """Clients against behaviours, then what was seen."""
    lines = [f"| client | {' | '.join(BEHAVIOURS)} |", f"|---|{'---|' * len(BEHAVIOURS)}"]
    for name, row in rows.items():
        marks = ["passed" if row[behaviour][0] else "FAILED" for behaviour in BEHAVIOURS]
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
