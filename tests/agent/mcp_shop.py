"""A small MCP server; as a program it speaks over stdin and stdout."""

from __future__ import annotations

import os

from mcp.server.mcpserver import Context, MCPServer


def shop() -> MCPServer:
    server = MCPServer("shop")

    @server.tool()
    def price(thing: str, many: int = 1) -> dict[str, int]:
        """Tell a price."""
        return {"dollars": len(thing) * many}

    @server.tool()
    def order(thing: str, context: Context) -> str:
        """Order a thing."""
        meta = context.request_context.meta or {}
        return f"{thing} ordered as {str(meta.get('vita/idempotency_key'))[:4]}"

    @server.tool()
    def whoami() -> str:
        """Tell what the server was given."""
        return os.environ.get("SHOP_KEY", "nobody")  # noqa: TID251 - what a server of others does

    @server.tool()
    def die() -> str:
        """Be gone in the middle of it."""
        os._exit(1)

    @server.tool()
    def secret_door() -> str:
        """Do what nobody allowed."""
        return "opened"

    return server


if __name__ == "__main__":
    shop().run()
