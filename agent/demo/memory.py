"""How much memory a process and everything it started take."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PROC = Path("/proc")


def resident_bytes() -> int:
    """Resident memory of this process and all its descendants, summed; 0 if it cannot be told.

    Pages that processes share count for each of them, so this is an upper bound.
    """
    table = _from_proc() if (_PROC / "self/status").exists() else _from_ps()
    family = {os.getpid()}
    found = True
    while found:
        found = bool(
            new := {pid for pid, (parent, _) in table.items() if parent in family} - family
        )
        family |= new
    return sum(table[pid][1] for pid in family if pid in table)


def _from_proc() -> dict[int, tuple[int, int]]:
    """Parent and resident bytes of every process."""
    table = {}
    for folder in _PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            lines = (folder / "status").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        resident = fields.get("VmRSS", "0 kB").split()[0]
        table[int(folder.name)] = (int(fields["PPid"]), int(resident) * 1024)
    return table


def _from_ps() -> dict[int, tuple[int, int]]:
    try:
        listed = subprocess.run(
            ["ps", "-axo", "pid=,ppid=,rss="],  # noqa: S607 - wherever the system keeps it
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = (line.split() for line in listed.stdout.splitlines())
    return {int(pid): (int(parent), int(kilobytes) * 1024) for pid, parent, kilobytes in rows}
