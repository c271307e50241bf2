"""The tools of an installation: plugins, and those of its MCP servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.settings import Settings
from agent.tasks import TaskOwner
from agent.tools.mcp_config import read_tools_file
from agent.tools.mcp_server import McpServer
from agent.tools.registry import ToolRegistry


def installed_tools(settings: Settings) -> ToolRegistry:
    """All plugins; lines may name the tools of MCP servers as well, which come with `mcp_servers`.

    Raises:
        ConfigurationError: The tools file is missing or wrong.
    """
    registry = ToolRegistry.discover()
    if settings.tools_file is not None:
        for server in read_tools_file(settings.tools_file):
            registry.promise(server.names())
    return registry


def mcp_servers(settings: Settings, registry: ToolRegistry) -> list[McpServer]:
    """The MCP servers, not connected yet: each has a `run`.

    Raises:
        ConfigurationError: The tools file is missing or wrong, or secrets cannot be read.
    """
    if settings.tools_file is None:
        return []
    secrets = settings.tool_secrets()
    servers = read_tools_file(settings.tools_file)
    for server in servers:
        registry.promise(server.names())
    return [McpServer(server, registry, secrets) for server in servers]


@asynccontextmanager
async def connected_tools(
    settings: Settings,
) -> AsyncIterator[tuple[ToolRegistry, list[McpServer]]]:
    """All tools for a command of a person: servers are connected as far as they can be.

    Raises:
        ConfigurationError: The tools file is missing or wrong, or secrets cannot be read.
    """
    registry = installed_tools(settings)
    servers = mcp_servers(settings, registry)
    async with TaskOwner("tools") as tasks:
        for server in servers:
            _ = tasks.spawn(server.run(), name=f"mcp-{server.config.name}")
        for server in servers:
            await server.tried.wait()
        yield registry, servers
