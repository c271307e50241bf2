"""Makes clients for MCP servers. Imported only where there is a server: the package is large."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client._transport import TransportStreams
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation
from pydantic import SecretStr

from agent.errors import ConfigurationError
from agent.tools.mcp_config import McpServerConfig

_REQUEST_S = 10.0
_READ_S = 300.0
"""A server may hold a stream of answers open."""


def new_client(config: McpServerConfig, secrets: Mapping[str, SecretStr]) -> Client:
    """A client that is not connected yet.

    Raises:
        ConfigurationError: A secret is not set.
    """
    about = Implementation(name="vita-agent", version=version("vita-agent"))
    if config.command:
        program, *arguments = config.command
        environment = {
            variable: _secret(config, secrets, name)
            for variable, name in config.environment.items()
        }
        server = StdioServerParameters(command=program, args=arguments, env=environment)
        # What the program complains about goes where the process's own complaints go.
        return Client(stdio_client(server, errlog=sys.__stderr__ or sys.stderr), client_info=about)
    headers = {}
    if config.bearer:
        headers["Authorization"] = f"Bearer {_secret(config, secrets, config.bearer)}"
    return Client(_over_http(config.url, headers), client_info=about)


@asynccontextmanager
async def _over_http(url: str, headers: Mapping[str, str]) -> AsyncIterator[TransportStreams]:
    timeout = httpx2.Timeout(_REQUEST_S, read=_READ_S)
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=timeout) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams


def _secret(config: McpServerConfig, secrets: Mapping[str, SecretStr], name: str) -> str:
    if name not in secrets:
        raise ConfigurationError(
            f"The MCP server {config.name} needs the secret {name}: set VITA_TOOL_SECRET_{name}."
        )
    return secrets[name].get_secret_value()
