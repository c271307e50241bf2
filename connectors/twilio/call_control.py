"""Twilio's REST interface, as far as calls need it: place, hang up, transfer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar

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

T = TypeVar("T")

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

    async def create_call(self, **order: Any) -> str:
        """Place a call; returns its SID. One try: two could make two phones ring.

        Only a refusal for the pace is tried again, since nothing has happened then.

        Raises:
            CarrierError: Refused, or no answer in time.
        """

        async def create() -> str:
            sid: str = (await self._client.calls.create_async(**order)).sid
            return sid

        return await self._tried(create, again=_is_too_fast)

    async def update_call(self, call_sid: str, **changes: str) -> None:
        """Change a running call: two tries, each with a time limit.

        Raises:
            CarrierError: Refused, or no answer in time; `CallOverError` when the call has ended.
        """

        async def update() -> None:
            try:
                await self._client.calls(call_sid).update_async(**changes)
            except TwilioRestException as error:
                if error.code == _NOT_IN_PROGRESS or error.status == HTTPStatus.NOT_FOUND:
                    raise CallOverError("Twilio says that the call is over") from error
                raise

        await self._tried(update, again=_may_pass)

    async def _tried(
        self, act: Callable[[], Awaitable[T]], again: Callable[[Exception], bool]
    ) -> T:
        """Act, each time within the limit; again after a pause when `again` says so."""
        attempt = 1
        while True:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await act()
            except (TwilioRestException, TimeoutError, httpx.HTTPError) as error:
                if attempt == TRIES or not again(error):
                    raise _carrier_error(error) from error
            log.warning("carrier_retry", attempt=attempt)
            attempt += 1
            await asyncio.sleep(RETRY_PAUSE_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def _is_too_fast(error: Exception) -> bool:
    return isinstance(error, TwilioRestException) and error.status == HTTPStatus.TOO_MANY_REQUESTS


def _may_pass(error: Exception) -> bool:
    return not isinstance(error, TwilioRestException) or error.status >= 500 or _is_too_fast(error)


def _carrier_error(error: Exception) -> CarrierError:
    if isinstance(error, TwilioRestException):
        return CarrierError(f"Twilio refused: HTTP {error.status}, code {error.code}.")
    return CarrierError(f"Twilio's REST interface does not answer ({type(error).__name__}).")


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
