"""The twin's side of webhooks: signed requests to the agent, with Twilio's time limits."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urldefrag, urlencode

import httpx

from connectors.twilio.twin.account import TwinAccount
from connectors.twilio.twin.signer import signature_headers
from connectors.twilio.twin.timeline import Timeline

CONNECT_LIMIT_S = 5.0
ANSWER_LIMIT_S = 15.0

Method = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a webhook was answered with."""

    status: int
    content_type: str
    body: bytes


class WebhookError(Exception):
    """A webhook without a usable answer; `code` is Twilio's error code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Dialer:
    """Sends webhooks for one account."""

    def __init__(self, account: TwinAccount, tls: ssl.SSLContext | None = None) -> None:
        self._account = account
        self._client = httpx.AsyncClient(
            verify=True if tls is None else tls,
            timeout=httpx.Timeout(ANSWER_LIMIT_S, connect=CONNECT_LIMIT_S),
            trust_env=False,
        )

    async def send(
        self, method: Method, url: str, fields: Mapping[str, str], timeline: Timeline
    ) -> Reply:
        """Ask for instructions.

        Raises:
            WebhookError: 11200, no answer or not a success; 11205, no connection.
        """
        url = urldefrag(url).url  # a fragment tunes the connection, it is never sent or signed
        if method == "GET" and fields:
            url += ("&" if "?" in url else "?") + urlencode(fields)
            fields = {}
        headers = signature_headers(self._account, url, fields)
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                answer = await self._client.request(
                    method, url, data=dict(fields) or None, headers=headers
                )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            timeline.add("request", method=method, url=url, fields=dict(fields), status=0)
            raise WebhookError(11205, f"no connection to {url}") from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            timeline.add("request", method=method, url=url, fields=dict(fields), status=0)
            raise WebhookError(11200, f"no answer from {url}") from error
        timeline.add(
            "request", method=method, url=url, fields=dict(fields), status=answer.status_code
        )
        if not answer.is_success:
            raise WebhookError(11200, f"{url} answered {answer.status_code}")
        return Reply(answer.status_code, answer.headers.get("content-type", ""), answer.content)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
