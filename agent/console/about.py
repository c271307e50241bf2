"""What the footer says: this version, and the licence of the weights that answer."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import httpx

from agent.log import get_logger

log = get_logger(__name__)

LIMIT_S = 3.0


class About:
    """Facts on the running parts. `refresh` asks the model server; until it answers none is named."""

    def __init__(self, model_url: str) -> None:
        self._address = _health(model_url)
        self._model: Mapping[str, str] = {}

    def lines(self) -> list[str]:
        """The footer, line by line."""
        said = [f"vita {_version()}"]
        if self._model:
            name, licence = self._model.get("name", ""), self._model.get("licence", "")
            said.append(f"Weights: {name or 'unnamed'}")
            if licence:
                said.append(f"Licence: {licence}")
        else:
            said.append("Model server not reached")
        return said

    async def refresh(self) -> None:
        """Ask the model server which weights it has loaded and under which licence."""
        try:
            async with httpx.AsyncClient(timeout=LIMIT_S, trust_env=False) as client:
                answer = await client.get(self._address)
            found = answer.json()["model"] if answer.is_success else {}
            self._model = {str(key): str(value) for key, value in found.items()}
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.debug("model_card_not_read", reason=repr(error))
            self._model = {}


def _health(model_url: str) -> str:
    scheme, _, rest = model_url.partition("://")
    host = rest.split("/")[0]
    return f"{'https' if scheme in {'wss', 'https'} else 'http'}://{host}/healthz"


def _version() -> str:
    try:
        return version("vita-agent")
    except PackageNotFoundError:
        return "unreleased"
