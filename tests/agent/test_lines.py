"""Applied lines: plans, versions, and how a running worker takes them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.calls.line import Line
from agent.calls.line_plan import KeyChange
from agent.calls.line_source import AppliedLines
from agent.calls.lines import LineCatalog, LinesChangedError, NoSuchVersionError
from agent.cli.main import app
from agent.clock import SystemClock
from agent.errors import ConfigurationError, LineNotFoundError
from agent.store.engine import Database

pytestmark = pytest.mark.integration

SHOP = Line(number="+15550100", web="shop", business="Shop", greeting="Hello.")
BIKES = Line(number="+15550101", business="Bikes", greeting="Hi.", facts=("Service: $60",))


@pytest.fixture
def catalog(database: Database) -> LineCatalog:
    return LineCatalog(database, SystemClock())


async def test_a_plan_tells_what_would_change_and_applying_does_it(catalog: LineCatalog):
    first = await catalog.plan([SHOP, BIKES])
    assert [(each.kind, each.entry) for each in first.changes] == [
        ("add", "+15550100"),
        ("add", "+15550101"),
    ]
    assert await catalog.applied() == []
    await catalog.apply([SHOP, BIKES], by="ann", base=first.base)
    assert (await catalog.plan([BIKES, SHOP])).empty

    store = SHOP.model_copy(update={"greeting": "Good day.", "recording": True})
    plan = await catalog.apply([store], by="bob")
    change, removal = plan.changes
    assert change.keys == (
        KeyChange("greeting", "Hello.", "Good day."),
        KeyChange("recording", False, True),
    )
    assert (removal.kind, removal.entry) == ("remove", "+15550101")
    (applied,) = await catalog.applied()
    assert (applied.line(), applied.version, applied.by) == (store, 2, "bob")


async def test_every_version_is_kept_and_can_count_again(catalog: LineCatalog):
    await catalog.apply([SHOP, BIKES], by="ann")
    await catalog.apply([SHOP.model_copy(update={"greeting": "Ho."})], by="ann")
    assert await catalog.rollback("+15550100", 1, by="bob") == SHOP
    assert await catalog.rollback("+15550101", 1, by="bob") == BIKES
    assert (await catalog.plan([SHOP, BIKES])).empty
    history = await catalog.versions("+15550100")
    assert [(each.version, each.applied) for each in history] == [(2, False), (1, True)]
    await catalog.apply([SHOP.model_copy(update={"greeting": "Hm."})], by="ann")
    assert (await catalog.versions("+15550100"))[0].version == 3
    with pytest.raises(NoSuchVersionError, match="version 9"):
        await catalog.rollback("+15550100", 9, by="bob")


async def test_a_version_whose_call_page_another_line_has_is_refused(catalog: LineCatalog):
    await catalog.apply([SHOP], by="ann")
    await catalog.apply([BIKES.model_copy(update={"web": "shop"})], by="ann")
    with pytest.raises(ConfigurationError, match="call page shop"):
        await catalog.rollback("+15550100", 1, by="ann")


async def test_a_plan_that_no_longer_holds_is_refused(catalog: LineCatalog):
    plan = await catalog.plan([SHOP])
    await catalog.apply([BIKES], by="bob")
    with pytest.raises(LinesChangedError, match="plan again"):
        await catalog.apply([SHOP], by="ann", base=plan.base)
    assert [each.entry for each in await catalog.applied()] == ["+15550101"]


async def test_many_who_apply_at_once_make_one_version_each(catalog: LineCatalog):
    texts = [f"Hello {count}." for count in range(8)]
    async with asyncio.TaskGroup() as group:
        for text in texts:
            lines = [SHOP.model_copy(update={"greeting": text})]
            group.create_task(catalog.apply(lines, by="crowd"))
    history = await catalog.versions("+15550100")
    assert [each.version for each in history] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert sorted(each.snapshot["greeting"] for each in history) == texts
    assert history[0].applied


async def test_a_worker_takes_what_was_applied_without_a_restart(
    catalog: LineCatalog, tmp_path: Path, until
):
    lines = AppliedLines(catalog, tmp_path / "copy.json", lambda _: None)
    await lines.start()
    with pytest.raises(LineNotFoundError, match="vita lines apply FILE"):
        lines.find("+15550100")
    refreshing = asyncio.get_running_loop().create_task(lines.run())
    await catalog.apply([SHOP], by="ann")

    async def taken() -> bool:
        return len(lines) == 1

    await until(taken)
    assert lines.find("web:shop") is lines.find("+15550100")
    refreshing.cancel()


async def test_lines_outlive_the_database_also_across_a_restart(
    catalog: LineCatalog, tmp_path: Path
):
    copy = tmp_path / "copy.json"
    await catalog.apply([SHOP, BIKES], by="ann")
    await AppliedLines(catalog, copy, lambda _: None).start()
    assert copy.stat().st_mode & 0o077 == 0

    away = Database("postgresql://u@127.0.0.1:1/none?connect_timeout=2")
    lines = AppliedLines(LineCatalog(away, SystemClock()), copy, lambda _: None)
    await lines.start()
    assert lines.find("web:shop") == SHOP
    await away.close()


async def test_a_line_that_cannot_work_here_leaves_the_others_and_its_last_version(
    catalog: LineCatalog, tmp_path: Path
):
    def no_tools(line: Line) -> None:
        if line.tools:
            raise ConfigurationError(f"The line {line.entry} needs tools.")

    lines = AppliedLines(catalog, tmp_path / "copy.json", no_tools)
    await catalog.apply([SHOP], by="ann")
    await lines.start()
    better = SHOP.model_copy(update={"tools": ("juggle",)})
    await catalog.apply([better, BIKES], by="ann")
    await lines.start()
    assert lines.find("+15550100") == SHOP
    assert lines.find("+15550101") == BIKES


# The command


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VITA_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.delenv("VITA_LINES_FILE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "lines.yaml"
    path.write_text(
        'lines:\n- {number: "+15550100", business: Shop, greeting: Hello., facts: ["A: 1"]}\n'
    )
    return path


def vita(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    return done.exit_code, done.output


def test_plan_apply_list_and_back_by_command(file: Path):
    assert "no lines yet" in vita("lines", "list")[1]
    code, out = vita("lines", "plan", file, "--exit-code")
    assert (code, "+ +15550100 (Shop)" in out, "1 to add" in out) == (5, True, True)
    code, out = vita("lines", "apply", file)
    assert (code, "--yes" in out) == (2, True)
    assert vita("lines", "apply", file, "--yes", "--by", "ann")[0] == 0
    assert "Nothing to do" in vita("lines", "plan", file, "--exit-code")[1]

    file.write_text(file.read_text().replace("Hello.", "Good day.").replace("A: 1", "B: 2"))
    code, out = vita("lines", "plan", file)
    assert code == 0
    assert 'greeting: "Hello." → "Good day."' in out
    assert '- "A: 1"' in out
    assert '+ "B: 2"' in out
    assert vita("lines", "apply", file, "--yes", "--by", "bob")[0] == 0
    shown = vita("lines", "list")[1]
    assert ("bob" in shown, "│ 2 " in shown) == (True, True)
    assert vita("lines", "rollback", "+15550100", "1", "--by", "ann")[0] == 0
    shown = vita("lines", "versions", "+15550100")[1]
    assert [row.split("│")[2].strip() for row in shown.splitlines() if "Shop" in row] == [
        "",
        "counts",
    ]
    assert vita("lines", "versions", "+15559999")[0] == 2
