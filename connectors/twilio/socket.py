"""The media socket: Twilio's dialogue on a WebSocket, offered to the agent as a `MediaLeg`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from agent.api import CallControl, CallDesk, DigitPressed, LegEvent, MarkPlayed, MediaFrame
from agent.audio import TELEPHONE, AudioFormat
from agent.errors import TokenRejectedError, VitaError
from agent.log import bound_call, get_logger
from agent.metrics import WEBHOOKS_REJECTED
from connectors.twilio.answers import TOKEN_PARAMETER
from connectors.twilio.config import TwilioConfig
from connectors.twilio.media_stream import (
    BadFrame,
    Gap,
    MediaDialogue,
    StreamEvent,
    StreamGarbageError,
    StreamStarted,
    StreamStopped,
    clear_message,
    mark_message,
    media_messages,
)
from connectors.twilio.signature import SignatureCheck

log = get_logger(__name__)

CLOSE_NORMAL = 1000
CLOSE_POLICY = 1008
CLOSE_TRY_LATER = 1013


class TwilioLeg:
    """One started media stream. Implements `agent.api.MediaLeg`."""

    def __init__(
        self,
        websocket: WebSocket,
        dialogue: MediaDialogue,
        stream_sid: str,
        *,
        media_timeout_s: float,
        send_timeout_s: float,
    ) -> None:
        self._websocket = websocket
        self._dialogue = dialogue
        self._stream_sid = stream_sid
        self._media_timeout_s = media_timeout_s
        self._send_timeout_s = send_timeout_s
        self._open = True

    @property
    def audio(self) -> AudioFormat:
        """µ-law, as the telephone network has it."""
        return TELEPHONE

    async def events(self) -> AsyncIterator[LegEvent]:
        """Everything the caller's side sends, checked; ends when the stream does."""
        while self._open:
            for event in await self._receive():
                if isinstance(event, MediaFrame | MarkPlayed | DigitPressed):
                    yield event
                elif isinstance(event, StreamStopped):
                    self._open = False
                    return
                elif isinstance(event, Gap):
                    log.info("media_gap", length_ms=event.length_ms)
                elif isinstance(event, BadFrame):
                    log.warning("media_frame_skipped", reason=event.reason)

    async def _receive(self) -> list[StreamEvent]:
        """The next events; none, and the leg closed, when there will be no more."""
        try:
            async with asyncio.timeout(self._media_timeout_s):
                return self._dialogue.receive(await receive_message(self._websocket))
        except TimeoutError:
            log.warning("media_silent", limit_s=self._media_timeout_s)
            await self.close()
        except StreamGarbageError as error:
            log.warning("media_garbage", reason=str(error))
            await self.close(CLOSE_POLICY)
        except WebSocketDisconnect as error:
            log.info("media_disconnected", code=error.code)
            self._open = False
        return []

    async def send_audio(self, payload: bytes) -> None:
        """Queue audio at the carrier."""
        for message in media_messages(self._stream_sid, payload):
            await self._send(message)

    async def send_mark(self, name: str) -> None:
        """Ask for `name` back when playback gets here."""
        await self._send(mark_message(self._stream_sid, name))

    async def clear(self) -> None:
        """Drop what the carrier has not played yet."""
        await self._send(clear_message(self._stream_sid))

    async def close(self, code: int = CLOSE_NORMAL) -> None:
        """Close the socket; the carrier then asks the resume URL what to do."""
        self._open = False
        await close_socket(self._websocket, code, self._send_timeout_s)

    async def _send(self, message: str) -> None:
        if not self._open:
            return
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._websocket.send_text(message)
        except TimeoutError:
            log.warning("media_stalled", limit_s=self._send_timeout_s)
            await self.close()
        except (WebSocketDisconnect, RuntimeError):
            # starlette: RuntimeError for a send after the close.
            self._open = False


class MediaDoor:
    """Accepts media sockets: signature, start within time, token, then the desk."""

    def __init__(self, desk: CallDesk, config: TwilioConfig, signatures: SignatureCheck) -> None:
        self._desk = desk
        self._config = config
        self._signatures = signatures

    async def welcome(self, websocket: WebSocket) -> tuple[StreamStarted, TwilioLeg, str] | None:
        """Check a new socket before anything of a call is touched.

        Returns:
            The stream, its leg and the `call_id` its token stands for; None when it was refused
            and closed.
        """
        scope = websocket.scope
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        if not self._signatures.upgrade(raw_path, scope["query_string"], websocket.headers):
            WEBHOOKS_REJECTED.labels("stream signature").inc()
            log.warning("upgrade_rejected", reason="signature")
            await websocket.close(CLOSE_POLICY)  # before the accept this answers 403
            return None
        await websocket.accept()
        try:
            return await self._open(websocket)
        except _RefusedError as error:
            WEBHOOKS_REJECTED.labels("stream").inc()
            log.warning("stream_rejected", reason=str(error))
            await close_socket(websocket, error.close_code, self._config.send_timeout_s)
        except WebSocketDisconnect as error:
            log.info("stream_never_started", code=error.code)
        return None

    async def serve(self, call_id: str, leg: TwilioLeg, control: CallControl) -> None:
        """Run the call and leave no socket behind."""
        with bound_call(call_id):
            log.info("media_started")
            try:
                outcome = await self._desk.serve(call_id, leg, control)
                log.info("media_ended", outcome=outcome)
            finally:
                await leg.close()

    async def _open(self, websocket: WebSocket) -> tuple[StreamStarted, TwilioLeg, str]:
        config = self._config
        dialogue = MediaDialogue()
        try:
            async with asyncio.timeout(config.start_timeout_s):
                started = await _started(websocket, dialogue)
        except StreamGarbageError as error:
            raise _RefusedError(CLOSE_POLICY, str(error)) from error
        except TimeoutError:
            raise _RefusedError(CLOSE_POLICY, "no start in time") from None
        if started.account_sid != config.account_sid:
            raise _RefusedError(CLOSE_POLICY, "another account")
        token = started.parameters.get(TOKEN_PARAMETER, "")
        try:
            async with asyncio.timeout(config.webhook_timeout_s):
                call_id = await self._desk.claim(token, started.call_sid)
        except TokenRejectedError as error:
            raise _RefusedError(CLOSE_POLICY, error.code) from error
        except (VitaError, TimeoutError) as error:
            raise _RefusedError(CLOSE_TRY_LATER, type(error).__name__) from error
        leg = TwilioLeg(
            websocket,
            dialogue,
            started.stream_sid,
            media_timeout_s=config.media_timeout_s,
            send_timeout_s=config.send_timeout_s,
        )
        return started, leg, call_id


class _RefusedError(Exception):
    """A stream that is not served; `close_code` says so to the carrier."""

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(reason)
        self.close_code = close_code


async def _started(websocket: WebSocket, dialogue: MediaDialogue) -> StreamStarted:
    while True:
        for event in dialogue.receive(await receive_message(websocket)):
            if isinstance(event, StreamStarted):
                return event


async def receive_message(websocket: WebSocket) -> str | bytes:
    """The next message, text or binary.

    Raises:
        WebSocketDisconnect: The far side is gone.
    """
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006), message.get("reason"))
    text: str | None = message.get("text")
    return text if text is not None else message["bytes"]


async def close_socket(websocket: WebSocket, code: int, timeout_s: float) -> None:
    """Close, whatever state the socket is in."""
    over = WebSocketState.DISCONNECTED
    if websocket.client_state is over or websocket.application_state is over:
        return
    try:
        async with asyncio.timeout(timeout_s):
            await websocket.close(code)
    except (TimeoutError, WebSocketDisconnect, RuntimeError) as error:
        log.info("close_unfinished", reason=type(error).__name__)
