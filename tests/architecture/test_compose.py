"""The composition of the whole service: no engine runs here, so it is checked against the rest."""

from __future__ import annotations

import inspect
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml

from agent.cli.main import app as vita
from agent.cli.serve import serve
from agent.settings import Settings
from vita_model.cli import app as model

pytestmark = pytest.mark.architecture

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()


class _Once(yaml.SafeLoader):
    """Refuses a key that is given twice in one place: engines do, PyYAML does not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"a key is given twice{node.start_mark}"
        return super().construct_mapping(node, deep)


COMPOSE: dict[str, Any] = yaml.load(TEXT, _Once)  # noqa: S506 - it is a SafeLoader
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (ROOT / "deploy" / "env.example").read_text()
PAGE = (ROOT / "docs" / "compose.md").read_text()
OURS = {name: each for name, each in SERVICES.items() if "build" in each}
SETTINGS = {f"VITA_{name.upper()}" for name in Settings.model_fields}
SERVE = typer.main.get_command(model).commands["serve"]  # type: ignore[attr-defined]
MODEL_SETTINGS = {str(option.envvar) for option in SERVE.params if option.envvar}


def _dockerfile(service: dict[str, Any]) -> str:
    return (ROOT / service["build"]["dockerfile"]).read_text()


@cache
def _sources() -> dict[str, str]:
    """What answers at each port of our own programs."""
    trees = {"8080": ["connectors"], "8070": ["agent/console"], "8090": ["vita_model/serving"]}
    return {
        port: "\n".join(path.read_text() for tree in found for path in (ROOT / tree).rglob("*.py"))
        for port, found in trees.items()
    }


def test_it_is_what_the_specification_allows() -> None:
    folder = files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(COMPOSE)


def test_it_names_the_services() -> None:
    theirs = {"proxy", "redis", "postgres", "coturn"}
    assert SERVICES.keys() == theirs | {
        "migrate",
        "agent",
        "console",
        "model",
        "model-2",
        "model-gpu",
    }
    assert OURS.keys() == SERVICES.keys() - theirs


def test_every_setting_it_gives_exists() -> None:
    for name, service in SERVICES.items():
        given = set(service.get("environment", {}))
        known = MODEL_SETTINGS if name.startswith("model") else SETTINGS
        assert {each for each in given if each.startswith("VITA_")} <= known, name
    written = set(re.findall(r"^\s*(?:ENV )?.*?(VITA_[A-Z_]+)=", EXAMPLE, re.MULTILINE))
    for service in OURS.values():
        written |= set(re.findall(r"(VITA_[A-Z_]+)=", _dockerfile(service)))
    assert written
    assert written <= SETTINGS


def test_every_variable_it_reads_is_in_the_example_or_has_a_default() -> None:
    read = dict(re.findall(r"\$\{([A-Z_]+)(:?[-?][^}]*)?\}", TEXT))
    named = set(re.findall(r"^#? ?([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    without = {name for name in read if name not in named}
    assert all(re.search(rf"\${{{name}:-", TEXT) for name in without), without
    caddy = set(re.findall(r"\{\$([A-Z_]+)\}", (ROOT / "deploy" / "Caddyfile").read_text()))
    assert caddy == set(SERVICES["proxy"]["environment"])


def test_it_holds_no_secret() -> None:
    words = re.compile(r"(?:PASSWORD|SECRET|TOKEN|_KEY|-secret|password)\w*\s*[:=]\s*(\S+)")
    for line in re.sub(r"\$\{[^}]*\}", "$", TEXT).splitlines():
        assert set(words.findall(line)) <= {"$"}, line
        assert not re.search(r"://\w+:[^$/@]+@", line), line
    for line in EXAMPLE.splitlines():
        assert not re.match(r"\w*(PASSWORD|SECRET|TOKEN)\w*=.", line), line


def test_every_file_the_images_are_made_of_exists() -> None:
    for service in OURS.values():
        text = _dockerfile(service)
        copies = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
        assert copies
        for path in " ".join(copies).split():
            assert (ROOT / path).exists(), path
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
            elif not source.startswith("${"):
                assert source in COMPOSE["volumes"], source


def test_our_images_are_small_and_run_without_rights() -> None:
    for service in OURS.values():
        text = _dockerfile(service)
        assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2, "build and run are two stages"
        last = text.rsplit("FROM ", maxsplit=1)[-1]
        assert re.search(r"^USER vita$", last, re.MULTILINE)
        assert re.search(r"^HEALTHCHECK ", last, re.MULTILINE)


def test_every_service_is_limited_and_what_stays_is_watched() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["networks"], name
        if name != "migrate":
            assert service["restart"] == "unless-stopped", name
            watched = "healthcheck" in service or name in OURS
            assert watched or name == "coturn", name


def test_health_checks_ask_for_what_is_answered() -> None:
    said = TEXT + "".join(_dockerfile(service) for service in OURS.values())
    asked = set(re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", said))
    ours = {(port, path) for port, path in asked if port in _sources()}
    assert {port for port, _ in ours} == {"8080", "8070", "8090"}
    for port, path in ours:
        assert f'"{path}"' in _sources()[port], f"{port}{path}"


def test_the_proxy_passes_on_what_is_served_and_nothing_for_insiders() -> None:
    caddy = (ROOT / "deploy" / "Caddyfile").read_text()
    (paths,) = re.findall(r"@open path (.+)", caddy)
    for path in paths.split():
        place = path.rstrip("*").rstrip("/")
        assert f'"{place}' in _sources()["8080"] + (ROOT / "agent/api_http/app.py").read_text(), (
            path
        )
    assert not re.search(r"metrics|readyz|livez", paths)
    upstreams = re.findall(r"reverse_proxy (\w+):(\d+)", caddy)
    assert dict(upstreams) == {"agent": "8080", "console": "8070"}


def test_a_stopped_agent_has_time_to_drain_before_the_proxy_is_stopped() -> None:
    agent = SERVICES["agent"]
    drain_s = inspect.signature(serve).parameters["drain_s"].default
    assert int(agent["stop_grace_period"].removesuffix("s")) >= drain_s + 30
    assert {"proxy", "redis", "model"} <= agent["depends_on"].keys()


def test_the_relay_reaches_the_agent_and_nothing_else() -> None:
    assert SERVICES["coturn"]["networks"] == ["media"]
    others = {name for name, each in SERVICES.items() if "media" in each["networks"]}
    assert others == {"coturn", "agent"}
    subnet = COMPOSE["networks"]["media"]["ipam"]["config"][0]["subnet"].removesuffix(".0/24")
    assert f"--allowed-peer-ip={subnet}.2-{subnet}.254" in SERVICES["coturn"]["command"]
    front = COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"]
    assert SERVICES["agent"]["environment"]["VITA_TRUSTED_PROXIES"] == front


def test_every_open_port_is_documented() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            outside = port.split(":")[0]
            assert f"| `{outside}" in PAGE, f"{name}: {port}"


def test_the_programs_it_starts_exist() -> None:
    known = typer.main.get_command(vita).commands  # type: ignore[attr-defined]
    for service in OURS.values():
        words = service.get("command", ["vita", "serve"])
        if words[0] == "vita":
            assert words[1] in known, words
