"""Settings of the agent, read from `VITA_*` environment variables and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.errors import ConfigurationError

Profile = Literal["production", "dev", "test"]

TOOL_SECRET = "VITA_TOOL_SECRET_"  # noqa: S105 - the beginning of names of variables


class Settings(BaseSettings):
    """Everything that may differ between two installations.

    Attributes:
        profile: `dev` and `test` allow what only makes sense on a developer's machine.
        data_dir: Folder of everything the agent writes: database, spool, recordings.
        host: Address the agent's server binds.
        port: Port the agent's server binds.
        trusted_proxies: Addresses or networks of proxies that say whom they speak for, separated by
            commas.
        public_url: Base URL the carrier reaches the agent at; webhooks are signed over it.
        redis_url: Session store; an embedded Valkey under `data_dir` when absent.
        database_url: Call log, an SQLAlchemy URL; SQLite under `data_dir` when absent.
        lines_file: A file of lines that is watched; the applied lines count when absent.
        model_url: Realtime endpoints of the model servers, separated by commas.
        model_api_key: Key for the model servers; empty for none.
        twilio_account_sid: Twilio account; empty when Twilio is not used.
        twilio_auth_token: Its token: signs webhooks and opens the REST interface.
        twilio_api_base_url: Replaces Twilio's REST address by the carrier twin's (`dev`, `test`).
        stun_urls: STUN servers of web calls, separated by commas.
        turn_urls: TURN servers of web calls, separated by commas.
        turn_secret: Secret shared with the TURN servers, which makes credentials.
        turn_ttl_s: Life of a TURN credential, seconds.
        call_page_sites: Origins of sites that may show a call page in a frame.
        web_calls_per_minute: Web calls one address may begin in a minute.
        max_calls: Calls one process serves at a time.
        token_ttl_s: Seconds within which an admitted call's media stream must open.
        tools_file: MCP servers whose tools lines may use.
        tool_secrets_dir: Folder with one file for each secret a tool may ask for.
        metrics_token: Bearer token of `/metrics`, which does not exist without one.
        api_requests_per_minute: Requests to the REST interface that each key may make in a minute.
        log_format: `console` for people, `json` for machines.
        log_level: Lowest level that is logged.
        log_pii: Show personal data in logs instead of a mark.
    """

    model_config = SettingsConfigDict(env_prefix="VITA_", frozen=True, extra="forbid")

    profile: Profile = "production"
    data_dir: Path = Path("./var")
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    trusted_proxies: str = "127.0.0.1"
    public_url: str = ""
    redis_url: SecretStr | None = None
    database_url: SecretStr | None = None
    lines_file: Path | None = None
    model_url: str = "ws://127.0.0.1:8090/v1/realtime"
    model_api_key: SecretStr = SecretStr("")
    twilio_account_sid: str = ""
    twilio_auth_token: SecretStr = SecretStr("")
    twilio_api_base_url: str | None = None
    stun_urls: str = ""
    turn_urls: str = ""
    turn_secret: SecretStr = SecretStr("")
    turn_ttl_s: int = Field(default=600, ge=60)
    call_page_sites: str = ""
    web_calls_per_minute: int = Field(default=6, ge=1)
    max_calls: int = Field(default=20, ge=1)
    token_ttl_s: float = Field(default=60.0, ge=1.0, le=600.0)
    tools_file: Path | None = None
    tool_secrets_dir: Path | None = None
    metrics_token: SecretStr = SecretStr("")
    api_requests_per_minute: int = Field(default=600, ge=1)
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_pii: bool = False

    @model_validator(mode="after")
    def _there_is_a_model(self) -> Self:
        if not self.model_urls:
            raise ValueError("VITA_MODEL_URL names no model server: give it one, or unset it")
        return self

    @model_validator(mode="after")
    def _the_twin_is_for_developers(self) -> Self:
        if self.twilio_api_base_url and self.profile == "production":
            raise ValueError(
                "VITA_TWILIO_API_BASE_URL sends carrier commands elsewhere: "
                "unset it, or set VITA_PROFILE to dev or test"
            )
        return self

    @property
    def model_urls(self) -> tuple[str, ...]:
        """The model servers' endpoints; at least one."""
        return tuple(dict.fromkeys(self.model_url.replace(",", " ").split()))

    def tool_secrets(self) -> Mapping[str, SecretStr]:
        """Secrets for tools by name: `VITA_TOOL_SECRET_NAME`, else the file `NAME`.

        Raises:
            ConfigurationError: The folder cannot be read.
        """
        found: dict[str, SecretStr] = {}
        folder = self.tool_secrets_dir
        try:
            for file in folder.iterdir() if folder is not None else ():
                if file.is_file():
                    found[file.name] = SecretStr(file.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"The secrets in {folder} cannot be read: {error}. Set VITA_TOOL_SECRETS_DIR."
            ) from error
        for name, value in os.environ.items():
            if name.startswith(TOOL_SECRET) and value:
                found[name.removeprefix(TOOL_SECRET)] = SecretStr(value)
        return found

    def sql_url(self) -> str:
        """SQLAlchemy URL of the call log, without a driver of ours when it names none."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.data_dir / 'calls.db').resolve()}"


def environment_for(**given: str | Path) -> dict[str, str]:
    """What a process of ours is started with: this environment, but only the given settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VITA_")}
    return inherited | {f"VITA_{name.upper()}": str(value) for name, value in given.items()}


def load_settings(**given: Any) -> Settings:
    """Read the environment; what is given by name wins over it.

    Raises:
        ConfigurationError: A variable is wrong; the sentence names it.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        about = f"The setting VITA_{name}: " if name else ""
        raise ConfigurationError(f"{about}{reason}.") from error
