"""Twilio's REST interface, as far as a running call needs it: hang up and transfer."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any

import httpx
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from agent.errors import CarrierError
from agent.log import get_logger
from connectors.twilio.answers import dial
from connectors.twilio.config import TwilioConfig

log = get_logger(__name__)

TRIES = 2
RETRY_PAUSE_S = 0.2

_NOT_IN_PROGRESS = 21220


class _HttpxClient(AsyncHttpClient):  # type: ignore[misc]
    """The helper library's HTTP, by httpx: time limits, and another host when a twin is used."""

    def __init__(self, base_url: str | None, timeout_s: float) -> None:
        super().__init__(logging.getLogger("twilio"), is_async=True, timeout=timeout_s)
        self._base_url = None if base_url is None else httpx.URL(base_url)
        self._client = httpx.AsyncClient(timeout=timeout_s, trust_env=base_url is None)

    async def request(  # noqa: PLR0917 - the library's signature
        self,
        method: str,
        uri: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Send one request; httpx's errors pass through."""
        url = httpx.URL(uri)
        if self._base_url is not None:
            base = self._base_url
            url = url.copy_with(scheme=base.scheme, host=base.host, port=base.port)
        answer = await self._client.request(
            method,
            url,
            params=params,
            data=data,
            headers=headers,
            auth=auth,
            timeout=timeout or self.timeout,
            follow_redirects=allow_redirects,
        )
        return Response(answer.status_code, answer.text, dict(answer.headers))

    async def close(self) -> None:
        await self._client.aclose()


class TwilioRest:
    """One REST client for all calls of an account."""

    def __init__(self, config: TwilioConfig) -> None:
        self._timeout_s = config.rest_timeout_s
        self._http = _HttpxClient(config.api_base_url, config.rest_timeout_s)
        self._client = Client(
            config.account_sid, config.auth_token, http_client=self._http, environment={}
        )

    async def update_call(self, call_sid: str, **changes: str) -> None:
        """Change a running call: two tries, each with a time limit.

        Raises:
            CarrierError: Refused, or no answer in time. `over` is set when the call has ended.
        """
        for attempt in range(1, TRIES + 1):
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._client.calls(call_sid).update_async(**changes)
            except TwilioRestException as error:
                over = error.code == _NOT_IN_PROGRESS or error.status == HTTPStatus.NOT_FOUND
                if over:
                    raise CallOverError("Twilio says that the call is over") from error
                passing = error.status >= 500 or error.status == HTTPStatus.TOO_MANY_REQUESTS
                if not passing or attempt == TRIES:
                    raise CarrierError(
                        f"Twilio refused the change of the call: HTTP {error.status}, "
                        f"code {error.code}"
                    ) from error
            except (TimeoutError, httpx.HTTPError) as error:
                if attempt == TRIES:
                    raise CarrierError(
                        f"Twilio's REST interface does not answer ({type(error).__name__})"
                    ) from error
            else:
                return
            log.warning("carrier_retry", attempt=attempt)
            await asyncio.sleep(RETRY_PAUSE_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


class CallOverError(CarrierError):
    """The call to be changed has ended already."""

    code = "call_over"


class TwilioCallControl:
    """Control of one Twilio call. Implements `agent.api.CallControl`."""

    def __init__(self, rest: TwilioRest, config: TwilioConfig, call_sid: str) -> None:
        self._rest = rest
        self._config = config
        self._call_sid = call_sid

    async def hang_up(self) -> None:
        """End the call; one that is over already is fine."""
        try:
            await self._rest.update_call(self._call_sid, status="completed")
        except CallOverError:
            log.info("already_over")

    async def transfer(self, target: str) -> None:
        """Dial `target` for the caller; Twilio closes the media stream at once."""
        await self._rest.update_call(self._call_sid, twiml=dial(self._config, target))
