"""The site's reference pages, written from the code whenever the site is built.

A hook of MkDocs: `hooks` in mkdocs.yml names it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import agent
import connectors
from agent import metrics
from agent.calls.line import Line
from agent.errors import VitaError
from agent.settings import Settings

ROOT = Path(__file__).parents[1]


def settings() -> str:
    """Every `VITA_*` variable."""
    rows = (
        (f"`VITA_{name.upper()}`", about, _default(Settings.model_fields[name]))
        for name, about in _attributes(Settings).items()
    )
    return f"""# Settings

Read once, at the start, from environment variables. A wrong value stops the start with one sentence
that names the variable.

{_table(("setting", "meaning", "default"), rows)}
Secrets of tools are variables `VITA_TOOL_SECRET_NAME`, or files in `VITA_TOOL_SECRETS_DIR`.
"""


def line_keys() -> str:
    """Every key of a line."""
    return f"""# Keys of a line

A lines file is a list under `lines`. What can be wrong with one is told with row, line and key.

{_table(("key", "meaning", "default"), _model_rows(Line))}
{"".join(_inner(name, field) for name, field in Line.model_fields.items())}"""


def measurements() -> str:
    """Everything on `/metrics`."""
    rows = []
    for each in vars(metrics).values():
        if isinstance(each, MetricWrapperBase):
            (family,) = each.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in each._labelnames)  # noqa: SLF001
            rows.append((f"`{name}`", family.type, labels, family.documentation))
    return f"""# Measurements

`GET /metrics` gives these in Prometheus' text form to whoever sends `VITA_METRICS_TOKEN` as a bearer
token; without that setting there is no such page. No label holds a call, a number or a person. The
figures of the Python process (`process_*`, `python_gc_*`) come with them.

```yaml
scrape_configs:
  - job_name: vita
    authorization: {{credentials_file: /etc/prometheus/vita-token}}
    static_configs: [{{targets: ["agent:8080"]}}]
```

{_table(("name", "kind", "labels", "meaning"), rows)}
Worth a warning: `va_database_up == 0` or `va_spool_oldest_seconds > 300` (the call log is behind),
`va_ready == 0`, a rising `va_calls_refused_total`, and the 95th percentile of
`va_turn_latency_seconds`.
"""


def errors() -> str:
    """Every error a person or a program may see."""
    rows = sorted(
        {
            (f"`{each.code}`", _first(each.__doc__), str(each.http_status), str(each.exit_code))
            for each in _errors()
        }
    )
    return f"""# Errors

An error is one sentence that says what to do. Its code is stable: it stands in `code` of a REST
problem, in logs, in measurements and in the call log's faults.

{_table(("code", "when", "HTTP status", "exit code of `vita`"), rows)}
`vita lines plan --exit-code` ends with 5 when there is something to apply, and `vita demo` with 130 when
it is stopped.
"""


PAGES = {
    "reference/settings.md": settings,
    "reference/line-keys.md": line_keys,
    "reference/metrics.md": measurements,
    "reference/errors.md": errors,
}


def decisions() -> str:
    """All decisions, by their titles."""
    rows = []
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        rows.append(f"* [{title}]({path.name})\n")
    head = "What was decided, why, and with which figures. A decision falls by a measurement."
    return f"# Decisions\n\n{head}\n\n{''.join(rows)}"


def elsewhere(path: str) -> Callable[[], str]:
    """A page that lies beside the code."""
    return lambda: (ROOT / path).read_text(encoding="utf-8")


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": settings,
    "reference/line-keys.md": line_keys,
    "reference/metrics.md": measurements,
    "reference/errors.md": errors,
    "decisions/index.md": decisions,
    "model-card.md": elsewhere("vita_model/checkpoints/vita-tiny/README.md"),
    "changelog.md": elsewhere("CHANGELOG.md"),
}

# Links that lead out of the documents, or into them from beside the code.
LINKS = {
    "../vita_model/checkpoints/vita-tiny/README.md": "model-card.md",
    "../../../docs/": "",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those that were found."""
    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn links that only work between the code's files."""
    for link, page in LINKS.items():
        markdown = markdown.replace(f"]({link}", f"]({page}")
    return markdown


def _inner(name: str, field: FieldInfo) -> str:
    """The keys under a key that holds a mapping; empty for others."""
    for model in get_args(field.annotation):
        if isinstance(model, type) and issubclass(model, BaseModel):
            table = _table(("key", "meaning", "default"), _model_rows(model))
            return f"## Keys under `{name}`\n\n{table}\n"
    return ""


def _model_rows(model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    for name, about in _attributes(model).items():
        yield f"`{name}`", about, _default(model.model_fields[name])


def _attributes(model: type[BaseModel]) -> Mapping[str, str]:
    """What a class's docstring says about its attributes."""
    section = (model.__doc__ or "").split("Attributes:")[1]
    found: dict[str, str] = {}
    for name, text in re.findall(r"^ {8}(\w+): ((?:.|\n(?! {8}\w+: ))+)", section, re.MULTILINE):
        found[name] = " ".join(text.split()).rstrip(".")
    if wrong := found.keys() ^ model.model_fields.keys():
        raise PluginError(f"{model.__name__}: its docstring and its fields differ in {wrong}")
    return found


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is PydanticUndefined:
        return "needed"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", ()):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _errors() -> Iterator[type[VitaError]]:
    for package in (agent, connectors):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(
                ("agent.cli", "agent.console", "agent.demo", "agent.pipeline")
            ):
                importlib.import_module(module.name)
    waiting = [VitaError]
    while waiting:
        for each in waiting.pop().__subclasses__():
            waiting.append(each)
            if each.__module__.split(".")[0] in {"agent", "connectors"} and "code" in vars(each):
                yield each


def _first(doc: str | None) -> str:
    """The first paragraph of a docstring."""
    return " ".join((doc or "").split("\n\n")[0].split())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )
