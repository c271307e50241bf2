from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import structlog
from loguru import logger as loguru_logger

from agent.errors import ConfigurationError
from agent.log import bound_call, configure_logging, get_logger
from agent.settings import load_settings

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_the_environment_is_read_and_given_names_win(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VITA_PORT", "9000")
    monkeypatch.setenv("VITA_MAX_CALLS", "3")
    settings = load_settings(port=9001)
    assert (settings.port, settings.max_calls) == (9001, 3)


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VITA_MAX_CALLS", "none")
    with pytest.raises(ConfigurationError, match="VITA_MAX_CALLS"):
        load_settings()


def test_secrets_do_not_show():
    settings = load_settings(twilio_auth_token="s3cret", database_url="postgresql://u:p4ss@h/d")
    assert "s3cret" not in repr(settings)
    assert "p4ss" not in repr(settings)


def test_the_twins_address_is_refused_in_production():
    with pytest.raises(ConfigurationError, match="VITA_TWILIO_API_BASE_URL"):
        load_settings(profile="production", twilio_api_base_url="http://127.0.0.1:1")
    assert load_settings(profile="test", twilio_api_base_url="http://127.0.0.1:1")


def test_the_database_lies_in_the_data_folder_unless_named(tmp_path: Path):
    assert load_settings(data_dir=tmp_path).sql_url() == f"sqlite:///{tmp_path}/calls.db"
    url = "postgresql://host/name"
    assert load_settings(database_url=url).sql_url() == url


def test_personal_data_is_marked_and_the_call_is_bound(capsys: pytest.CaptureFixture[str]):
    configure_logging("json")
    with bound_call("c1"):
        get_logger("x").info("heard", pii_text="my name is Ann", more={"pii_from": "+15550123"})
        get_logger("x").info("again", pii_text="my name is Ann")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first["call_id"] == "c1"
    assert "Ann" not in first["pii_text"]
    assert "+15550123" not in first["more"]["pii_from"]
    assert first["pii_text"] == second["pii_text"]


def test_personal_data_can_be_shown(capsys: pytest.CaptureFixture[str]):
    configure_logging("json", show_pii=True)
    get_logger("x").info("heard", pii_text="my name is Ann")
    assert json.loads(capsys.readouterr().err)["pii_text"] == "my name is Ann"


def test_a_stack_trace_shows_no_values(capsys: pytest.CaptureFixture[str]):
    for form in ("json", "console"):
        configure_logging(form)
        key = "s3cret"
        try:
            _ = {}[len(key)]
        except KeyError:
            get_logger("x").exception("broke")
        shown = capsys.readouterr().err
        assert "KeyError" in shown
        assert f"'{key}'" not in shown


def test_secrets_for_tools_come_from_variables_and_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "CRM_KEY").write_text("from a file\n")
    (tmp_path / "TILL_KEY").write_text("from a file")
    monkeypatch.setenv("VITA_TOOL_SECRET_TILL_KEY", "from the environment")
    secrets = load_settings(tool_secrets_dir=tmp_path).tool_secrets()
    assert {name: secret.get_secret_value() for name, secret in secrets.items()} == {
        "CRM_KEY": "from a file",
        "TILL_KEY": "from the environment",
    }
    assert "from a file" not in repr(secrets)
    with pytest.raises(ConfigurationError, match="VITA_TOOL_SECRETS_DIR"):
        load_settings(tool_secrets_dir=tmp_path / "none").tool_secrets()


def test_other_loggers_come_out_of_the_same_sink_once(capsys: pytest.CaptureFixture[str]):
    configure_logging("json")
    configure_logging("json")
    logging.getLogger("uvicorn.error").warning("from the standard library")
    loguru_logger.warning("from loguru with {braces}")
    loguru_logger.info("what a caller said")
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["from the standard library", "from loguru with {braces}"]
