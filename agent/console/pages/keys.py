"""Keys for programs. For admins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui
from starlette.requests import Request

from agent.clock import SystemClock
from agent.console.controls import buttons, main_button, plain_button
from agent.console.markup import Markup, badge, empty, join, tag
from agent.console.pages.admin import admin_page, dialog
from agent.console.pages.people import COLOURS, ROLE_NAMES
from agent.console.parts import Parts
from agent.console.shell import show
from agent.console.visitor import Visitor, handled, say
from agent.supervisor.keys import ApiKey

HOLDS = {0: "For ever", 30: "30 days", 90: "90 days", 365: "A year"}


def add(parts: Parts) -> None:
    """The page `/admin/keys`."""

    @ui.page("/admin/keys")
    async def keys(request: Request) -> None:
        visitor = parts.visitor(request)
        with admin_page(visitor, parts, "API keys", "/admin/keys") as allowed:
            if allowed:
                await Keys(parts, visitor).build()


class Keys:
    """The list of keys. A key is shown whole once, when it is made."""

    def __init__(self, parts: Parts, visitor: Visitor) -> None:
        self._keys = parts.desk.keys
        self._visitor = visitor

    async def build(self) -> None:
        """Put the keys on the page."""
        with dialog("Make a key") as self._new:
            self._name = ui.input("What it is for").props("outlined dense").classes("w-all")
            self._role = ui.select(ROLE_NAMES, label="Role", value="viewer")
            self._role.props("outlined dense").classes("w-all")
            self._days = ui.select(HOLDS, label="Holds", value=90).props("outlined dense")
            self._days.classes("w-all")
            buttons(self._new, "Make the key", handled(self._visitor, self._create))
        with ui.element("div").classes("row-flex"):
            how = tag("code", "Authorization: Bearer va_…")
            hint = tag("span", "Programs send a key to the REST interface as ", how, cls="muted")
            show(hint, "grow")
            _ = main_button("Make a key", self._new.open, pictogram="add")
        self._fresh = show(Markup(""), "notice good")
        self._fresh.set_visibility(False)
        with ui.element("div").classes("paper"):
            self._list = ui.element("div").classes("rows")
        await self._load()

    async def _create(self) -> None:
        made = await self._keys.create(
            self._visitor.actor,
            name=self._name.value or "",
            role=self._role.value or "viewer",
            days=self._days.value or None,
        )
        self._name.set_value("")
        _ = self._new.close()
        words = tag("span", "Copy this key now: it is not shown again. ", tag("code", made.token))
        self._fresh.set_content(words)
        self._fresh.set_visibility(True)
        await self._load()

    async def _load(self) -> None:
        keys = await self._keys.list(self._visitor.actor)
        self._list.clear()
        with self._list:
            if not keys:
                show(
                    empty("vpn_key", "No key yet", "A program needs one to use the REST interface.")
                )
            for key in keys:
                with ui.element("div").classes("person"):
                    show(self._about(key), "grow")
                    if key.revoked_at is None:
                        revoke = handled(self._visitor, self._revoker(key))
                        _ = plain_button("Revoke", revoke, slim=True)

    def _about(self, key: ApiKey) -> Markup:
        until = key.expires_at
        state = None
        if key.revoked_at is not None:
            state = badge("Revoked", "bad")
        elif until is not None and until <= SystemClock().now():
            state = badge("Expired", "warn")
        used = (
            f"used {self._visitor.when(key.last_used_at, mid=True)}"
            if key.last_used_at
            else "never used"
        )
        holds = f"until {self._visitor.when(until, mid=True)}" if until else "for ever"
        return join(
            tag(
                "div",
                tag("span", key.name, cls="strong"),
                tag("span", f"va_{key.prefix}_…", cls="muted small mono"),
            ),
            badge(key.role.capitalize(), COLOURS[key.role]),
            state,
            tag("span", f"{holds} · {used} · made by {key.created_by}", cls="muted small last"),
        )

    def _revoker(self, key: ApiKey) -> Callable[[], Awaitable[None]]:
        async def revoke() -> None:
            await self._keys.revoke(self._visitor.actor, key.id)
            say("The key does not work any more.")
            await self._load()

        return revoke
