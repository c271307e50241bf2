"""One MCP server as a source of tools: connected in the background, and again when it is lost.

A server that is away costs its own tools and nothing else: the agent starts without it, and a tool
that was there before answers with a sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from agent.errors import ConfigurationError, ToolError, ToolUnsureError
from agent.log import get_logger
from agent.tools.context import ToolContext
from agent.tools.mcp_config import McpServerConfig, McpToolConfig
from agent.tools.mcp_schema import McpArguments
from agent.tools.registry import ToolRegistry
from agent.tools.threads import ToolThreads
from agent.tools.tool import DEFAULT_AT_ONCE, Tool

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult
    from mcp.types import Tool as Listed

log = get_logger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
LOOK_EVERY_S = 30.0
MOST_TOOLS = 1000

Connect = Callable[[], "Client"]


class McpServer:
    """Keeps one server's allowed tools in the registry.

    Args:
        config: The server.
        registry: Where its tools go.
        secrets: Values of secrets by name.
        connect: Makes a client that is not connected yet; by the configuration when absent.
    """

    def __init__(
        self,
        config: McpServerConfig,
        registry: ToolRegistry,
        secrets: Mapping[str, SecretStr],
        *,
        connect: Connect | None = None,
    ) -> None:
        self.config = config
        self.failure = ""
        """Why it cannot be reached; empty while it can."""
        self.tried = asyncio.Event()
        """Set once the first attempt to connect has come to an end."""
        self._registry = registry
        self._secrets = secrets
        self._connect = connect
        self._client: Client | None = None
        self._listed: Mapping[str, Listed] = {}
        self._suspect = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - whatever the other side does, we go on
                if self._client is not None:
                    pause = FIRST_PAUSE_S
                self.failure = _reason(error)
                log.warning("mcp_server_away", server=self.config.name, reason=self.failure)
            finally:
                self._client = None
                self.tried.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def call(self, name: str, arguments: Mapping[str, Any], key: str) -> Any:
        """Have the server run a tool.

        Raises:
            ToolError: The server is away.
            ToolUnsureError: It said that it failed, or was lost meanwhile.
        """
        from mcp import MCPError  # noqa: PLC0415 - a second to import, for those who use it

        client = self._client
        if client is None:
            raise ToolError(f"{self.config.name} cannot be reached right now")
        try:
            meta: Any = {"vita/idempotency_key": key}
            result = await client.call_tool(name, dict(arguments), meta=meta)
        except MCPError as error:
            self._suspect.set()
            raise ToolUnsureError(f"{self.config.name} did not do it: {error.message}") from error
        except Exception as error:
            self._suspect.set()
            raise ToolUnsureError(f"{self.config.name} was lost meanwhile") from error
        return _answer(result)

    async def _serve(self) -> None:
        """Connect, and look now and then whether the server is still there; raises when not."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self.config.connect_s):
                client = await stack.enter_async_context(self._new_client())
                self._offer(await _listed(client))
            self._client, self.failure = client, ""
            self.tried.set()
            log.info("mcp_server_connected", server=self.config.name)
            while True:
                await self._wait()
                async with asyncio.timeout(self.config.connect_s):
                    self._offer(await _listed(client))

    async def _wait(self) -> None:
        """Until it is time to look again, or a call gave reason to."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._suspect.wait()
        self._suspect.clear()

    def _new_client(self) -> Client:
        if self._connect is not None:
            return self._connect()
        from agent.tools.mcp_client import new_client  # noqa: PLC0415 - as above

        return new_client(self.config, self._secrets)

    def _offer(self, listed: Mapping[str, Listed]) -> None:
        """Put the allowed tools into the registry, when there is anything new."""
        if listed == self._listed:
            return
        self._listed = listed
        for ours, theirs in self.config.names().items():
            if theirs not in listed:
                log.warning("mcp_tool_not_there", server=self.config.name, tool=theirs)
                continue
            try:
                self._registry.put(self._tool(ours, listed[theirs], self.config.tools[theirs]))
            except ConfigurationError as error:
                self._registry.fail(self.config.name, "MCP", f"is in conflict: {error}")

    def _tool(self, name: str, listed: Listed, config: McpToolConfig) -> Tool:
        return Tool(
            name=name,
            description=" ".join((listed.description or listed.title or name).split()),
            timeout_s=config.timeout_s,
            effect=config.effect,
            secrets=(),
            at_once=DEFAULT_AT_ONCE,
            body=_McpBody(self, listed.name, McpArguments(name, listed.input_schema)),
            source=f"MCP {self.config.name}",
        )


class _McpBody:
    def __init__(self, server: McpServer, name: str, arguments: McpArguments) -> None:
        self._server = server
        self._name = name
        self._arguments = arguments

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._arguments.schema

    def check(self, arguments: str) -> dict[str, Any]:
        return self._arguments.check(arguments)

    async def run(
        self, context: ToolContext, arguments: Mapping[str, Any], threads: ToolThreads
    ) -> Any:
        del threads
        return await self._server.call(self._name, arguments, context.idempotency_key)


async def _listed(client: Client) -> dict[str, Listed]:
    """All tools of a server by name."""
    found: dict[str, Listed] = {}
    cursor: str | None = None
    while len(found) < MOST_TOOLS:
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        found |= {tool.name: tool for tool in page.tools}
        cursor = page.next_cursor
        if not cursor:
            break
    return found


def _answer(result: CallToolResult) -> Any:
    texts = [part.text for part in result.content if part.type == "text"]
    if result.is_error:
        raise ToolUnsureError(" ".join(texts) or "it failed")
    if result.structured_content is not None:
        return result.structured_content
    return "\n".join(texts)


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return " ".join(str(error).split()) or type(error).__name__
