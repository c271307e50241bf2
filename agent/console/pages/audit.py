"""Who did what. For admins."""

from __future__ import annotations

import json

from nicegui import ui
from starlette.requests import Request

from agent.console.controls import choice, plain_button
from agent.console.markup import Markup, badge, empty, tag
from agent.console.pages.admin import admin_page
from agent.console.parts import Parts
from agent.console.shell import show
from agent.console.tables import cell, table
from agent.console.visitor import Visitor, handled
from agent.console.words import sentence
from agent.supervisor.audit import AuditEntry

PAGE = 100
ACTIONS = {
    "": "Everything",
    "sign_in": "Sign in",
    "sign_in.refused": "Sign in refused",
    "call.reveal": "Call revealed",
    "call.reveal.reason": "Reason to reveal",
    "recording.open": "Recording opened",
    "still.open": "Picture opened",
    "note.add": "Note added",
    "review.submit": "Call scored",
    "user.create": "Person added",
    "key.create": "Key made",
    "key.revoke": "Key revoked",
}


def add(parts: Parts) -> None:
    """The page `/admin/audit`."""

    @ui.page("/admin/audit")
    async def audit(request: Request) -> None:
        visitor = parts.visitor(request)
        with admin_page(visitor, parts, "Audit log", "/admin/audit") as allowed:
            if allowed:
                await Audit(parts, visitor).build()


class Audit:
    """The list of entries, newest first."""

    def __init__(self, parts: Parts, visitor: Visitor) -> None:
        self._audit = parts.desk.audit
        self._users = parts.desk.users
        self._visitor = visitor
        self._entries: list[AuditEntry] = []
        self._names: dict[str, str] = {}
        self._next: str | None = None

    async def build(self) -> None:
        """Put the entries on the page."""
        broken = await self._audit.broken_at()
        with ui.element("div").classes("filters"):
            self._action = choice(ACTIONS, "Action", "")
            self._action.on_value_change(handled(self._visitor, self._reload))
            ui.space()
            whole = badge("The chain is whole", "good", dot="still")
            show(
                whole if broken is None else badge(f"The chain is broken at entry {broken}", "bad")
            )
        with ui.element("div").classes("paper"):
            self._table = show(Markup(""), "table-box")
        self._more = plain_button("Load more", handled(self._visitor, self._load))
        users = await self._users.list(self._visitor.actor)
        self._names = {user.id: user.name for user in users}
        await self._load()

    async def _reload(self) -> None:
        self._entries, self._next = [], None
        await self._load()

    async def _load(self) -> None:
        page = await self._audit.list(
            self._visitor.actor, action=self._action.value or "", limit=PAGE, cursor=self._next
        )
        self._entries += page.items
        self._next = page.next
        self._more.set_visibility(page.next is not None)
        if not self._entries:
            self._table.set_content(empty("policy", "Nothing of this kind was done"))
            return
        heads = ["No.", "When", "Who", "What", "About", "From", "Details"]
        self._table.set_content(table(heads, [self._row(entry) for entry in self._entries]))

    def _row(self, entry: AuditEntry) -> list[Markup]:
        who = self._names.get(entry.actor_id) or entry.actor_id[:12]
        kind, _, key = entry.object.partition("/")
        about = tag("span", entry.object[:24], cls="mono")
        if kind == "call" and key:
            about = tag("a", f"call {key[:8]}", href=f"/calls/{key}", cls="link mono")
        elif kind == "user" and key in self._names:
            about = tag("span", self._names[key])
        details = json.dumps(dict(entry.details), ensure_ascii=False) if entry.details else ""
        refused = entry.action.endswith("refused")
        return [
            cell(str(entry.seq), cls="num muted"),
            cell(self._visitor.exactly(entry.at), cls="num nowrap"),
            cell(
                tag("span", who, cls="strong"),
                tag("span", f" {entry.actor_kind}", cls="muted small"),
            ),
            cell(
                badge(ACTIONS.get(entry.action) or sentence(entry.action), "bad" if refused else "")
            ),
            cell(about),
            cell(entry.ip or "–", cls="num muted"),
            cell(tag("code", details.strip("{}").replace('"', ""), cls="muted")),
        ]
