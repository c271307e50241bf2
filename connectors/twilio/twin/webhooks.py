"""The twin's side of webhooks: signed requests to the agent, with Twilio's time limits and retries."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import parse_qsl, urldefrag, urlencode

import httpx

from connectors.twilio.twin.account import TwinAccount
from connectors.twilio.twin.faults import Faults
from connectors.twilio.twin.signer import signature_headers
from connectors.twilio.twin.timeline import Timeline

TOKEN_HEADER = "I-Twilio-Idempotency-Token"  # noqa: S105 - the name of a header

Method = Literal["GET", "POST"]
Failure = Literal["ct", "rt", "4xx", "5xx"]
"""Why a try failed: no connection, no answer in time, a refusal, an error."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a webhook was answered with."""

    status: int
    content_type: str
    body: bytes


class WebhookError(Exception):
    """A webhook without a usable answer; `code` is Twilio's error code."""

    def __init__(self, code: int, reason: str, failure: Failure = "rt") -> None:
        super().__init__(reason)
        self.code = code
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Overrides:
    """How the fragment of a URL tunes the connection, `#ct=1000&rc=2&rp=ct,5xx`.

    Attributes:
        connect_s: Limit for the connection (`ct`).
        read_s: Limit for the answer (`rt`).
        total_s: Limit for all tries (`tt`).
        retries: Further tries (`rc`).
        policy: What is tried again (`rp`).
    """

    connect_s: float = 5.0
    read_s: float = 15.0
    total_s: float = 15.0
    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})

    @classmethod
    def of(cls, url: str) -> tuple[str, Self]:
        """The URL without its fragment, and what the fragment says; what makes no sense is left."""
        bare, fragment = urldefrag(url)
        given = dict(parse_qsl(fragment))
        default = cls()
        return bare, cls(
            connect_s=_within(given.get("ct"), 100, 10_000, default.connect_s * 1000) / 1000,
            read_s=_within(given.get("rt"), 100, 15_000, default.read_s * 1000) / 1000,
            total_s=_within(given.get("tt"), 100, 15_000, default.total_s * 1000) / 1000,
            retries=int(_within(given.get("rc"), 0, 5, default.retries)),
            policy=frozenset(given["rp"].split(",")) if "rp" in given else default.policy,
        )

    def retries_on(self, failure: Failure) -> bool:
        """Whether a try that failed so is followed by another."""
        return failure in self.policy or "all" in self.policy


class Dialer:
    """Sends webhooks for one account."""

    def __init__(
        self, account: TwinAccount, tls: ssl.SSLContext | None = None, faults: Faults | None = None
    ) -> None:
        self._account = account
        self._faults = faults or Faults()
        self._client = httpx.AsyncClient(verify=True if tls is None else tls, trust_env=False)

    async def send(
        self, method: Method, url: str, fields: Mapping[str, str], timeline: Timeline
    ) -> Reply:
        """Tell something, as often as the URL's fragment says.

        Raises:
            WebhookError: 11200, no answer or not a success; 11205, no connection.
        """
        return await self._send(method, url, fields, timeline, losable=False)

    async def ask(
        self, method: Method, url: str, fields: Mapping[str, str], timeline: Timeline
    ) -> Reply:
        """Ask for instructions, as often as the URL's fragment says. Answers may get lost.

        Raises:
            WebhookError: 11200, no answer or not a success; 11205, no connection.
        """
        return await self._send(method, url, fields, timeline, losable=True)

    async def _send(
        self,
        method: Method,
        url: str,
        fields: Mapping[str, str],
        timeline: Timeline,
        *,
        losable: bool,
    ) -> Reply:
        """Send until there is an answer, or no more tries.

        Raises:
            WebhookError: 11200, no answer or not a success; 11205, no connection.
        """
        url, overrides = Overrides.of(url)  # the fragment is never sent or signed
        if method == "GET" and fields:
            url += ("&" if "?" in url else "?") + urlencode(fields)
            fields = {}
        headers = signature_headers(self._account, url, fields)
        headers[TOKEN_HEADER] = str(uuid.uuid4())
        tries = 1 + overrides.retries
        try:
            async with asyncio.timeout(overrides.total_s):
                while True:
                    tries -= 1
                    request = self._client.build_request(
                        method,
                        url,
                        data=dict(fields) or None,
                        headers=headers,
                        timeout=httpx.Timeout(overrides.read_s, connect=overrides.connect_s),
                    )
                    try:
                        return await self._try(request, fields, timeline, losable=losable)
                    except WebhookError as error:
                        if not tries or not overrides.retries_on(error.failure):
                            raise
        except TimeoutError as error:
            raise WebhookError(11200, f"no answer from {url}") from error

    async def _try(
        self,
        request: httpx.Request,
        fields: Mapping[str, str],
        timeline: Timeline,
        *,
        losable: bool,
    ) -> Reply:
        method, url = request.method, str(request.url)
        try:
            answer = await self._client.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            timeline.add("request", method=method, url=url, fields=dict(fields), status=0)
            raise WebhookError(11205, f"no connection to {url}", "ct") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            timeline.add("request", method=method, url=url, fields=dict(fields), status=0)
            raise WebhookError(11200, f"no answer from {url}") from error
        lost = losable and self._faults.loses_an_answer()
        status = 0 if lost else answer.status_code
        timeline.add("request", method=method, url=url, fields=dict(fields), status=status)
        if not status:
            raise WebhookError(11200, f"the answer from {url} got lost")
        if not answer.is_success:
            failure: Failure = "5xx" if answer.is_server_error else "4xx"
            raise WebhookError(11200, f"{url} answered {status}", failure)
        return Reply(status, answer.headers.get("content-type", ""), answer.content)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _within(text: str | None, lowest: int, highest: int, default: float) -> float:
    if text is None or not text.isdigit() or not lowest <= int(text) <= highest:
        return default
    return float(text)
