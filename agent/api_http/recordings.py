"""Recordings with range requests, their waveforms, and camera pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from agent.api_http.parts import Parts, TaggedRoute, Who, has_tag
from agent.supervisor.recordings import Peaks
from agent.supervisor.views import RecordingView, StillView

router = APIRouter(tags=["recordings"])
tagged = APIRouter(route_class=TaggedRoute, tags=["recordings"])

_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/wav": {}}, "description": "The file."},
    206: {"content": {"audio/wav": {}}, "description": "The part asked for by `Range`."},
    416: {"description": "The part asked for is not in the file."},
}


@tagged.get("/calls/{call_id}/recordings")
async def list_recordings(parts: Parts, who: Who, call_id: str) -> Sequence[RecordingView]:
    """A call's recordings: more than one when another worker took the call up."""
    return (await parts.desk.calls.get(who, call_id)).recordings


@router.head("/calls/{call_id}/recordings/{number}", include_in_schema=False)
@router.get("/calls/{call_id}/recordings/{number}", responses=_AUDIO, response_class=FileResponse)
async def get_recording(
    request: Request, parts: Parts, who: Who, call_id: str, number: int
) -> Response:
    """The WAV: caller on the left, agent as heard on the right. Needs `listen`; each opening is kept."""
    part = request.headers.get("range", "bytes=0-")
    opening = request.method == "GET" and part.replace(" ", "").startswith("bytes=0-")
    file = await parts.desk.recordings.open(who, call_id, number, audited=opening)
    return _file(request, str(file.path), file.sha256, "audio/wav", f"{call_id}-{number}.wav")


@tagged.get("/calls/{call_id}/recordings/{number}/peaks")
async def get_peaks(parts: Parts, who: Who, call_id: str, number: int) -> Peaks:
    """The waveform in little: 50 values a second for each channel. Needs `listen`."""
    return await parts.desk.recordings.peaks(who, call_id, number)


@tagged.get("/calls/{call_id}/stills")
async def list_stills(parts: Parts, who: Who, call_id: str) -> Sequence[StillView]:
    """The camera pictures of a call that the model was shown."""
    return (await parts.desk.calls.get(who, call_id)).stills


@router.get(
    "/calls/{call_id}/stills/{number}",
    responses={200: {"content": {"image/jpeg": {}}, "description": "The picture."}},
    response_class=FileResponse,
)
async def get_still(
    request: Request, parts: Parts, who: Who, call_id: str, number: int
) -> Response:
    """One picture. Needs `listen`; that somebody looked is kept."""
    file = await parts.desk.stills.open(who, call_id, number)
    return _file(request, str(file.path), file.sha256, "image/jpeg", f"{call_id}-{number}.jpg")


def _file(request: Request, path: str, sha256: str, media_type: str, name: str) -> Response:
    headers = {"ETag": f'"{sha256}"', "Cache-Control": "private, no-cache"}
    if has_tag(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return FileResponse(
        path,
        headers=headers,
        media_type=media_type,
        filename=name,
        content_disposition_type="inline",
    )
