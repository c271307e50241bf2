"""The twin's REST interface to what callers left: fetch, list, hear, delete."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import soundfile
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from agent import mulaw
from connectors.twilio.twin.account import TwinAccount
from connectors.twilio.twin.rest import RestError, authenticate
from connectors.twilio.twin.world import Recording


def recordings_router(account: TwinAccount, recordings: dict[str, Recording]) -> APIRouter:
    """Routes of the recordings of one account."""
    router = APIRouter(prefix="/2010-04-01/Accounts/{account_sid}", include_in_schema=False)

    def found(request: Request, sid: str) -> Recording:
        authenticate(request, account)
        if sid not in recordings:
            raise RestError(404, 20404, f"The requested resource /Recordings/{sid} was not found")
        return recordings[sid]

    @router.get("/Recordings.json")
    async def listing(request: Request) -> Any:
        try:
            authenticate(request, account)
        except RestError as error:
            return error.response()
        return JSONResponse({"recordings": [_resource(each) for each in recordings.values()]})

    @router.get("/Recordings/{name}")
    async def fetch(request: Request, name: str) -> Any:
        """`SID.json` is the resource; `SID` and `SID.wav` are the sound."""
        sid, _, kind = name.partition(".")
        try:
            recording = found(request, sid)
        except RestError as error:
            return error.response()
        if kind == "json":
            return JSONResponse(_resource(recording))
        content = BytesIO()
        pcm = mulaw.decode(recording.sound)
        soundfile.write(content, pcm, mulaw.SAMPLE_RATE, format="WAV", subtype="PCM_16")
        return Response(content.getvalue(), media_type="audio/x-wav")

    @router.delete("/Recordings/{sid}.json")
    async def delete(request: Request, sid: str) -> Any:
        try:
            del recordings[found(request, sid).sid]
        except RestError as error:
            return error.response()
        return Response(status_code=204)

    return router


def _resource(recording: Recording) -> dict[str, Any]:
    return {
        "sid": recording.sid,
        "call_sid": recording.call_sid,
        "duration": str(recording.duration_s),
        "channels": 1,
        "source": "RecordVerb",
        "status": "completed",
    }
