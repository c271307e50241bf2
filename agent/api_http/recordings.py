"""Recordings with range requests, their waveforms, and camera pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send
from typing_extensions import override

from agent.api_http.parts import Parts, TaggedRoute, Who, has_tag
from agent.api_http.problems import problem
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
    return _File(
        path,
        headers=headers,
        media_type=media_type,
        filename=name,
        content_disposition_type="inline",
    )


class _File(FileResponse):
    """A file, or the part of it that is asked for; a `Range` it cannot serve is told as a problem."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def pass_on(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in (400, 416):
                refused = True
                told = MutableHeaders(raw=message["headers"]).get("content-range", "")
                await _refusal(told)(scope, receive, send)
            elif not refused:
                await send(message)

        await super().__call__(scope, receive, pass_on)


def _refusal(content_range: str) -> Response:
    if not content_range:
        what = "The header Range is not understood: write `Range: bytes=0-999`."
        return problem(422, "invalid_request", what)
    length = content_range.rpartition("/")[2]
    what = f"The part asked for is not in the file, which has {length} bytes: ask for less."
    return problem(416, "no_such_part", what, headers={"Content-Range": content_range})
