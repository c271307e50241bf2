"""What the footer says: this version, and the licence of the weights that answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

import httpx

from agent.log import get_logger
from agent.models.load import http_address

log = get_logger(__name__)

LIMIT_S = 3.0


class About:
    """Facts on the running parts. `refresh` asks the model servers; until one answers none is named."""

    def __init__(self, model_urls: Sequence[str]) -> None:
        self._addresses = [http_address(url, "/healthz") for url in model_urls]
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
        """Ask which weights are loaded and under which licence: the first server that answers."""
        model: Mapping[str, str] = {}
        async with httpx.AsyncClient(timeout=LIMIT_S, trust_env=False) as client:
            for address in self._addresses:
                try:
                    answer = await client.get(address)
                    found = answer.json()["model"] if answer.is_success else {}
                    model = {str(key): str(value) for key, value in found.items()}
                except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
                    log.debug("model_card_not_read", reason=repr(error))
                if model:
                    break
        self._model = model


def _version() -> str:
    try:
        return version("vita-agent")
    except PackageNotFoundError:
        return "unreleased"
