"""Recordings and camera pictures as files: with ranges, for those who may hear them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response

from agent.console.parts import Parts
from agent.errors import VitaError

PRIVATE = {"Cache-Control": "private, max-age=3600"}


def media_routes(parts: Parts) -> APIRouter:
    """`/media/CALL/recordings/N` and `/media/CALL/stills/N`."""
    router = APIRouter(prefix="/media/{call_id}", include_in_schema=False)

    @router.get("/recordings/{number}")
    @router.head("/recordings/{number}")
    async def recording(
        request: Request, call_id: str, number: int, download: bool = False
    ) -> Response:
        # A player asks for a file in many pieces: one look is one entry in the audit log.
        first = request.headers.get("range", "bytes=0-").startswith("bytes=0-")
        try:
            file = await parts.desk.recordings.open(
                request.state.actor, call_id, number, audited=first or download
            )
        except VitaError as error:
            return PlainTextResponse(f"{error}\n", error.http_status)
        headers = {**PRIVATE, "ETag": f'"{file.sha256}"'}
        name = f"call-{call_id[:8]}-{number}.wav" if download else None
        return FileResponse(file.path, media_type="audio/wav", headers=headers, filename=name)

    @router.get("/stills/{number}")
    async def still(request: Request, call_id: str, number: int) -> Response:
        try:
            file = await parts.desk.stills.open(request.state.actor, call_id, number)
        except VitaError as error:
            return PlainTextResponse(f"{error}\n", error.http_status)
        return FileResponse(file.path, media_type="image/jpeg", headers=PRIVATE)

    return router
