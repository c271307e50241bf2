"""Who may sign in, and as what. For admins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui
from starlette.requests import Request

from agent.console.controls import buttons, icon_button, main_button
from agent.console.markup import Markup, badge, join, tag
from agent.console.pages.admin import admin_page, dialog
from agent.console.parts import Parts
from agent.console.shell import show
from agent.console.visitor import Visitor, handled, say
from agent.supervisor.access import Role
from agent.supervisor.accounts import User

ROLE_NAMES: dict[Role, str] = {
    "viewer": "Viewer: reads, masked",
    "supervisor": "Supervisor: listens, reveals, scores",
    "admin": "Admin: everything",
}
COLOURS = {"viewer": "", "supervisor": "caller", "admin": "violet"}


def add(parts: Parts) -> None:
    """The page `/admin/people`."""

    @ui.page("/admin/people")
    async def people(request: Request) -> None:
        visitor = parts.visitor(request)
        with admin_page(visitor, parts, "People", "/admin/people") as allowed:
            if allowed:
                await People(parts, visitor).build()


class People:
    """The list of people, and what an admin may do to each."""

    def __init__(self, parts: Parts, visitor: Visitor) -> None:
        self._users = parts.desk.users
        self._visitor = visitor

    async def build(self) -> None:
        """Put the people on the page."""
        self._new_dialog()
        self._password_dialog()
        with ui.element("div").classes("row-flex"):
            show(
                tag("span", "A change counts at once, also in pages that are open.", cls="muted"),
                "grow",
            )
            _ = main_button("Add a person", self._new.open, pictogram="person_add")
        with ui.element("div").classes("paper"):
            self._list = ui.element("div").classes("rows")
        await self._load()

    def _new_dialog(self) -> None:
        with dialog("Add a person") as self._new:
            self._email = ui.input("E-mail").props("outlined dense type=email").classes("w-all")
            self._name = ui.input("Name").props("outlined dense").classes("w-all")
            self._role = ui.select(ROLE_NAMES, label="Role", value="viewer")
            self._role.props("outlined dense").classes("w-all")
            self._password = ui.input("First password", password=True)
            self._password.props("outlined dense autocomplete=new-password").classes("w-all")
            buttons(self._new, "Add", handled(self._visitor, self._create))

    def _password_dialog(self) -> None:
        self._whose = ""
        with dialog("New password") as self._renew:
            show(tag("p", "Their open sessions end.", cls="muted"))
            self._fresh = ui.input("New password", password=True)
            self._fresh.props("outlined dense autocomplete=new-password").classes("w-all")
            work = handled(self._visitor, self._set_password)
            buttons(self._renew, "Set password", work)

    async def _create(self) -> None:
        user = await self._users.create(
            self._visitor.actor,
            email=self._email.value or "",
            name=self._name.value or "",
            role=self._role.value or "viewer",
            password=self._password.value or "",
        )
        for box in (self._email, self._name, self._password):
            box.set_value("")
        _ = self._new.close()
        say(f"{user.name} may sign in now.")
        await self._load()

    async def _set_password(self) -> None:
        await self._users.set_password(self._visitor.actor, self._whose, self._fresh.value or "")
        self._fresh.set_value("")
        _ = self._renew.close()
        say("The password is changed.")

    async def _load(self) -> None:
        users = await self._users.list(self._visitor.actor)
        self._list.clear()
        with self._list:
            for user in users:
                self._row(user)

    def _row(self, user: User) -> None:
        with ui.element("div").classes("person"):
            show(self._about(user), "grow")
            with icon_button("more_horiz", f"Change {user.name}"), ui.menu():
                for role, name in ROLE_NAMES.items():
                    if role != user.role:
                        work = handled(self._visitor, self._role_setter(user.id, role))
                        ui.menu_item(f"Make {name.split(':')[0].lower()}", work)
                ui.separator()
                ui.menu_item("New password", lambda: self._ask_password(user.id))
                shut = handled(self._visitor, self._shutter(user))
                ui.menu_item("Let in again" if user.disabled else "Shut out", shut)

    def _about(self, user: User) -> Markup:
        seen = user.last_sign_in_at
        last = f"signed in {self._visitor.when(seen, mid=True)}" if seen else "never signed in"
        return join(
            tag(
                "div",
                tag("span", user.name, cls="strong"),
                tag("span", user.email, cls="muted small"),
            ),
            badge(user.role.capitalize(), COLOURS[user.role]),
            badge("Shut out", "bad") if user.disabled else None,
            tag("span", last, cls="muted small last"),
        )

    def _ask_password(self, user_id: str) -> None:
        self._whose = user_id
        _ = self._renew.open()

    def _role_setter(self, user_id: str, role: Role) -> Callable[[], Awaitable[None]]:
        async def change() -> None:
            user = await self._users.set_role(self._visitor.actor, user_id, role)
            say(f"{user.name} is {role} now.")
            await self._load()

        return change

    def _shutter(self, user: User) -> Callable[[], Awaitable[None]]:
        async def change() -> None:
            await self._users.set_disabled(self._visitor.actor, user.id, disabled=not user.disabled)
            await self._load()

        return change
