"""Who may do what. Pure.

A person or a key has one role, and a role is a set of permissions. The services ask for a
permission before they read or write; pages and routes never decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from agent.errors import PermissionDeniedError

Role = Literal["viewer", "supervisor", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "supervisor", "admin")

Permission = Literal[
    "read", "listen", "reveal", "annotate", "review", "place_calls", "change_lines", "manage"
]
"""`read`: calls with personal data masked, statistics, live calls. `listen`: recordings and camera
pictures. `reveal`: numbers and words as they are. `manage`: people, keys, the audit log."""

_VIEWER: frozenset[Permission] = frozenset({"read"})
_SUPERVISOR: frozenset[Permission] = _VIEWER | {
    "listen",
    "reveal",
    "annotate",
    "review",
    "place_calls",
}
_ADMIN: frozenset[Permission] = _SUPERVISOR | {"change_lines", "manage"}

PERMISSIONS = MappingProxyType({"viewer": _VIEWER, "supervisor": _SUPERVISOR, "admin": _ADMIN})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks.

    Attributes:
        kind: A person with an account, an API key, or the `vita` command on this machine.
        id: Id of the account or the key; name of the system's user for a command.
        name: As shown to others.
        role: What it may do.
        ip: Where the request came from; empty when unknown.
    """

    kind: Literal["user", "key", "command"]
    id: str
    name: str
    role: Role
    ip: str = ""

    def may(self, permission: Permission) -> bool:
        """Whether the role includes a permission."""
        return permission in PERMISSIONS[self.role]

    def need(self, permission: Permission) -> None:
        """Go on only with a permission.

        Raises:
            PermissionDeniedError: The role does not include it.
        """
        if not self.may(permission):
            lowest = next(role for role in ROLES if permission in PERMISSIONS[role])
            what = permission.replace("_", " ")
            raise PermissionDeniedError(
                f"The role {self.role} may not {what}: that takes the role {lowest}."
            )
