"""The tools file: which MCP servers there are, and which of their tools lines may use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from agent.errors import ConfigurationError
from agent.tools.tool import DEFAULT_TIMEOUT_S, LONGEST_TIMEOUT_S, Effect

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]

_STRICT = ConfigDict(frozen=True, extra="forbid")


class McpToolConfig(BaseModel):
    """One allowed tool of a server.

    Attributes:
        rename: What the model and the lines call it; the server's own name when empty.
        effect: What running it changes.
        timeout_s: Seconds after which it counts as failed.
    """

    model_config = _STRICT

    rename: Annotated[str, StringConstraints(pattern=r"^([A-Za-z_][A-Za-z0-9_-]{0,63})?$")] = ""
    effect: Effect = "once"
    timeout_s: float = Field(default=DEFAULT_TIMEOUT_S, gt=0, le=LONGEST_TIMEOUT_S)


class McpServerConfig(BaseModel):
    """One MCP server.

    Attributes:
        name: Our name for it.
        command: Program and arguments of a server that speaks over stdin and stdout.
        url: Address of a server that speaks Streamable HTTP.
        environment: Variables for `command`, each with the name of the secret it gets.
        bearer: Name of the secret that is sent to `url` as a bearer token; empty for none.
        connect_s: Longest wait for a connection and its list of tools.
        tools: The tools lines may name, and no others, by the server's names.
    """

    model_config = _STRICT

    name: Name
    command: tuple[str, ...] = ()
    url: Annotated[str, StringConstraints(pattern=r"^(https?://.+)?$")] = ""
    environment: dict[str, SecretName] = Field(default_factory=dict)
    bearer: Annotated[str, StringConstraints(pattern=r"^([A-Z][A-Z0-9_]*)?$")] = ""
    connect_s: float = Field(default=10.0, gt=0, le=60)
    tools: dict[str, McpToolConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("a server has either a command or a url")
        if self.environment and not self.command:
            raise ValueError("environment belongs to a command")
        if self.bearer and not self.url:
            raise ValueError("bearer belongs to a url")
        return self

    def names(self) -> dict[str, str]:
        """The server's name of each allowed tool, by ours."""
        return {tool.rename or name: name for name, tool in self.tools.items()}


class _ToolsFile(BaseModel):
    model_config = _STRICT

    servers: tuple[McpServerConfig, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        servers = [server.name for server in self.servers]
        tools = [name for server in self.servers for name in server.names()]
        for kind, names in (("servers", servers), ("tools", tools)):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                hint = "" if kind == "servers" else ": rename one of them"
                raise ValueError(f"two {kind} are named {twice}{hint}")
        return self


def read_tools_file(path: Path) -> tuple[McpServerConfig, ...]:
    """Read the MCP servers of a tools file.

    Raises:
        ConfigurationError: The file is missing or wrong; the sentence names the key.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The tools file {path} cannot be read: {error}. Correct VITA_TOOLS_FILE."
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    try:
        return _ToolsFile.model_validate(document or {}).servers
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = str(first["msg"]).removeprefix("Value error, ")
        about = f", key `{where}`" if where else ""
        raise ConfigurationError(f"{path}{about}: {reason}.") from error
