"""One plugin by whatever its author calls it: a file, a module, or an installed plugin's name."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from agent.errors import ConfigurationError
from agent.tools.registry import GROUP, ToolRegistry


def load_plugin(target: str) -> ToolRegistry:
    """The tools of one plugin; `failures` tells why there are none.

    Args:
        target: A Python file, the name of an installed plugin, or a module as an entry point would
            name it (`bank.tools`, `bank.tools:check_balance`), also in the current folder.

    Raises:
        ConfigurationError: There is no such file.
    """
    registry = ToolRegistry()
    path = Path(target)
    if path.suffix == ".py":
        if not path.is_file():
            raise ConfigurationError(f"There is no file {target}.")
        registry.load(path.stem, target, lambda: _load_file(path), source=target)
        return registry
    installed = [point for point in entry_points(group=GROUP) if point.name == target]
    point = next(iter(installed), EntryPoint(target, target, GROUP))
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    registry.load(point.name, point.value, point.load, source=target)
    return registry


def _load_file(path: Path) -> ModuleType:
    """The file as a module of its own name; it may import its neighbours."""
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
