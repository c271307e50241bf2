from __future__ import annotations

import base64
import hashlib
import json
import threading
import wave
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.api import IncomingCall
from agent.calls.call import Call, call_id_for
from agent.calls.line import Line
from agent.session.live import LiveFeed
from agent.session.live_calls import LiveCallList
from agent.session.session import CallSession, Sessions
from tests.agent.api.served import Served
from tests.agent.supervisor.book import COMMAND, answered, said, used

pytestmark = pytest.mark.integration


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code)
    assert document["type"] == f"urn:vita-agent:error:{code}"
    assert document["title"]
    assert document["detail"].endswith(".")
    return document


def test_without_a_key_there_is_nothing(api: Served):
    with api.client(None) as http:
        for path in ("/calls", "/live", "/calls/x/recordings/0", "/keys", "/search?q=a"):
            answer = http.get(path)
            problem(answer, 401, "not_signed_in")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        wrong = {"Authorization": "Bearer va_000000000000_" + "x" * 43}
        problem(http.get("/calls", headers=wrong), 401, "not_signed_in")
        assert http.get("/health").json()["status"] == "ok"


def test_every_error_is_a_problem_that_says_what_to_do(api: Served):
    with api.client("admin") as http:
        problem(http.get("/nothing"), 404, "not_found")
        answer = http.delete("/calls")
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, POST"
        for path in (
            "/calls?limit=0",
            "/calls?since=yesterday",
            "/calls?since=2026-03-02T09:30:00",
        ):
            document = problem(http.get(path), 422, "invalid_request")
            assert document["errors"][0]["where"].startswith("query.")
        problem(http.get("/calls?since=5"), 422, "invalid_request")
        problem(http.get("/calls?cursor=x"), 422, "invalid_request")
        huge = base64.urlsafe_b64encode(f"2026-03-02T09:30:00Z|{10**30}".encode()).decode()
        problem(http.get("/search", params={"q": "a", "cursor": huge}), 422, "invalid_request")
        problem(http.get("/audit", params={"cursor": "9" * 40}), 422, "invalid_request")
        assert http.get("/calls", params={"line": "\0"}).status_code in (200, 422)
        problem(http.post("/keys", content=b"\xff\xfe"), 422, "invalid_request")
        problem(http.get("/calls/none"), 404, "not_found")
        problem(http.post("/keys", content=b"{"), 422, "invalid_request")
        secret = http.post("/users", json={"email": "a@b.c", "role": "king", "password": "s3cret!"})
        problem(secret, 422, "invalid_request")
        assert "s3cret" not in secret.text
        problem(http.post("/users", content=b"x" * 300_000), 413, "too_large")
        chunks = (b"x" * 100_000 for _ in range(4))
        problem(http.post("/users", content=chunks), 413, "too_large")


def test_a_role_gives_what_it_gives(api: Served):
    api.do(api.book.write("roles", said(1, "caller", "Hello")))
    with api.client("viewer") as http:
        assert http.get("/me").json()["permissions"] == ["read"]
        assert http.get("/calls/roles").status_code == 200
        for method, path in (
            ("GET", "/calls/roles?reveal=true"),
            ("GET", "/calls?caller=%2B15551234523"),
            ("GET", "/calls/roles/recordings/0"),
            ("GET", "/keys"),
            ("GET", "/audit"),
        ):
            problem(http.request(method, path), 403, "permission_denied")
        problem(http.post("/calls/roles/notes", json={"text": "x"}), 403, "permission_denied")
        line = {"line": "+15550100", "to": "+15550123"}
        problem(http.post("/calls", json=line), 403, "permission_denied")
        lines = {"lines": [{"number": "+15550100", "business": "B", "greeting": "Hi."}]}
        problem(http.post("/lines/apply", json=lines), 403, "permission_denied")
    with api.client("supervisor") as http:
        assert http.post("/calls/roles/notes", json={"text": "x"}).status_code == 201
        problem(http.get("/users"), 403, "permission_denied")


def test_calls_are_listed_found_and_read(api: Served):
    for number in range(3):
        api.clock.advance(60)
        told = said(1, "caller", f"Do you have a piñata, number {number}? I am on 555-123-4567.")
        tool = used(2, "lookup_order", '{"order": "4417"}', '{"state": "sent"}')
        api.do(api.book.write(f"list{number}", told, *tool, answered(2, 500), line="+15550777"))
    with api.client() as http:
        page = http.get("/calls", params={"line": "+15550777", "limit": 2}).json()
        assert [call["id"] for call in page["items"]] == ["list2", "list1"]
        rest = http.get("/calls", params={"line": "+15550777", "cursor": page["next"]}).json()
        assert [call["id"] for call in rest["items"]] == ["list0"]
        assert rest["next"] is None
        assert page["items"][0]["caller"] == "+1 555 ••• ••23"

        answer = http.get("/calls/list0")
        details = answer.json()
        assert details["summary"]["tools"] == ["lookup_order"]
        assert details["turns"] == [{"seq": 6, "at_ms": 2000, "latency_ms": 500}]
        assert "123-4567" not in answer.text
        etag = answer.headers["etag"]
        again = http.get("/calls/list0", headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")

        assert [line["role"] for line in http.get("/calls/list0/transcript").json()] == ["caller"]
        assert http.get("/calls/list0/tools").json()[0]["result"] == '{"state": "sent"}'
        kinds = [event["kind"] for event in http.get("/calls/list0/events").json()]
        assert kinds[0] == "call_admitted"
        assert kinds[-1] == "call_state"

        found = http.get("/search", params={"q": '"pinata number" 1'}).json()["items"]
        assert [hit["call_id"] for hit in found] == ["list1"]
        assert {"text": "piñata", "hit": True} in found[0]["snippet"]
        problem(http.get("/search", params={"q": "?!"}), 422, "invalid_request")
    with api.client("supervisor") as http:
        assert "123-4567" in http.get("/calls/list0?reveal=true").text
        called = http.get("/calls", params={"line": "+15550777", "caller": "+15551234523"}).json()
        assert len(called["items"]) == 3
    with api.client("admin") as http:
        (entry,) = http.get("/audit", params={"about": "call/list0"}).json()["items"]
        assert (entry["action"], entry["actor_kind"], entry["ip"]) == (
            "call.reveal",
            "key",
            "127.0.0.1",
        )


@pytest.fixture
def wav(api: Served) -> bytes:
    path = api.data_dir / "recordings" / "2026" / "heard.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(range(256)) * 125)
    content = path.read_bytes()
    payload = {
        "path": str(path),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "duration_ms": 1000,
    }
    api.do(api.book.write("heard", (1, "recording", payload)))
    return content


def test_a_recording_is_heard_in_parts(api: Served, wav: bytes):
    path = "/calls/heard/recordings/0"
    with api.client("supervisor") as http:
        whole = http.get(path)
        assert (whole.status_code, whole.content) == (200, wav)
        assert whole.headers["content-type"] == "audio/wav"
        assert whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["etag"] == f'"{hashlib.sha256(wav).hexdigest()}"'

        head = http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(wav))

        for given, start, end in (
            ("bytes=0-99", 0, 100),
            ("bytes=100-", 100, len(wav)),
            ("bytes=-50", len(wav) - 50, len(wav)),
            (f"bytes=10-{len(wav) * 2}", 10, len(wav)),
        ):
            part = http.get(path, headers={"Range": given})
            assert (part.status_code, part.content) == (206, wav[start:end]), given
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(wav)}"

        beyond = http.get(path, headers={"Range": f"bytes={len(wav)}-"})
        assert f" {len(wav)} bytes" in problem(beyond, 416, "no_such_part")["detail"]
        assert beyond.headers["content-range"] == f"bytes */{len(wav)}"
        problem(http.get(path, headers={"Range": "seconds=1-2"}), 422, "invalid_request")
        stale = {"Range": "bytes=0-9", "If-Range": '"other"'}
        assert http.get(path, headers=stale).content == wav
        fresh = {"Range": "bytes=0-9", "If-Range": whole.headers["etag"]}
        assert http.get(path, headers=fresh).status_code == 206
        known = {"If-None-Match": whole.headers["etag"]}
        assert http.get(path, headers=known).status_code == 304

        problem(http.get("/calls/heard/recordings/1"), 404, "not_found")
        problem(http.get("/calls/heard/recordings/x"), 422, "invalid_request")
        peaks = http.get(path + "/peaks").json()
        assert (peaks["per_second"], len(peaks["channels"][0])) == (50, 50)
        assert http.get("/calls/heard/recordings").json()[0]["bytes"] == len(wav)
    with api.client("admin") as http:
        entries = http.get("/audit", params={"about": "call/heard"}).json()["items"]
        # The whole file, "0-99", both with If-Range, and the one that was known.
        assert [entry["action"] for entry in entries] == ["recording.open"] * 5


def test_a_picture_is_seen(api: Served):
    path = api.data_dir / "stills" / "seen.jpg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\xff\xd8picture")
    still = {"path": str(path), "sha256": "a" * 64, "bytes": 9, "width": 4, "height": 3, "at_ms": 7}
    api.do(api.book.write("seen", (1, "still", still)))
    with api.client("supervisor") as http:
        assert http.get("/calls/seen/stills").json()[0]["width"] == 4
        picture = http.get("/calls/seen/stills/0")
        assert (picture.content, picture.headers["content-type"]) == (
            b"\xff\xd8picture",
            "image/jpeg",
        )
        problem(http.get("/calls/seen/stills/1"), 404, "not_found")


def test_notes_and_reviews(api: Served):
    api.do(api.book.write("noted"))
    with api.client("supervisor") as http:
        note = http.post("/calls/noted/notes", json={"text": "wrong", "start_ms": 5}).json()
        edited = http.patch(f"/notes/{note['id']}", json={"flag": True}).json()
        assert (edited["text"], edited["flag"]) == ("wrong", True)
        assert http.get("/calls/noted/notes").json() == [edited]
        assert http.delete(f"/notes/{note['id']}").status_code == 204
        problem(http.delete(f"/notes/{note['id']}"), 404, "not_found")

        card = http.get("/scorecard").json()
        values = {item["key"]: 1 for item in card["items"]}
        review = http.put("/calls/noted/review", json={"values": values, "comment": "hm"}).json()
        assert review["total"] == 40.0
        values["extra"] = 1
        wrong = http.put("/calls/noted/review", json={"values": values})
        assert "extra" in problem(wrong, 422, "invalid_request")["detail"]
        assert len(http.get("/calls/noted/reviews").json()) == 1


def test_figures(api: Served):
    start = api.clock.now()
    api.do(api.book.write("figure", answered(1, 700), line="+15550888"))
    given = {
        "since": start.isoformat(),
        "until": (start + timedelta(hours=1)).isoformat(),
        "line": "+15550888",
    }
    with api.client() as http:
        figures = http.get("/statistics", params=given).json()
        assert (figures["calls"], figures["latency_ms"]["p50"]) == (1, 700)
        problem(http.get("/statistics"), 422, "invalid_request")
        given["until"] = given["since"]
        problem(http.get("/statistics", params=given), 422, "invalid_request")


def test_lines_are_planned_applied_and_rolled_back(api: Served):
    first = {"number": "+15550100", "business": "Bakery", "greeting": "Hello."}
    with api.client("admin") as http:
        assert http.get("/lines").json()[0]["entry"] == "+15550100"
        plan = http.post("/lines/plan", json={"lines": [first]}).json()
        assert [change["kind"] for change in plan["changes"]] == ["add"]
        given = {"lines": [first], "base": plan["base"]}
        assert http.post("/lines/apply", json=given).status_code == 200
        second = first | {"greeting": "Good day."}
        problem(
            http.post("/lines/apply", json={"lines": [second], "base": "x"}), 409, "lines_changed"
        )
        http.post("/lines/apply", json={"lines": [second]})
        versions = http.get("/lines/+15550100/versions").json()
        assert [(each["version"], each["applied"]) for each in versions] == [(2, True), (1, False)]
        back = http.post("/lines/+15550100/rollback", json={"version": 1}).json()
        assert back["line"]["greeting"] == "Hello."
        wrong = http.post("/lines/plan", json={"lines": [first | {"greting": "Hm"}]})
        assert "greting" in str(problem(wrong, 422, "lines")["errors"])
        actions = [entry["action"] for entry in http.get("/audit").json()["items"][:3]]
        assert actions == ["lines.rollback", "lines.apply", "lines.apply"]
        tools = {tool["name"]: tool for tool in http.get("/tools").json()}
        assert tools["lookup_order"]["parameters"]["type"] == "object"


def test_a_call_is_placed_when_nothing_speaks_against_it(api: Served):
    order = {"line": "+15550100", "to": "+15550123", "consent": "form 7"}
    with api.client("supervisor") as http:
        problem(http.post("/calls", json=order | {"to": "123"}), 422, "bad_number")
        assert http.post("/calls", json=order | {"consent": ""}).status_code == 403
        placed = http.post("/calls", json=order)
        assert (placed.status_code, placed.json()["state"]) == (201, "placed")
    with api.client("admin") as http:
        about = f"call/{placed.json()['call_id']}"
        (entry,) = http.get("/audit", params={"about": about}).json()["items"]
        assert entry["action"] == "call.place"


def test_people_and_keys_are_managed(api: Served):
    with api.client("admin") as http:
        new = {
            "email": "ann@example.com",
            "name": "Ann",
            "role": "viewer",
            "password": "long enough",
        }
        user = http.post("/users", json=new).json()
        assert "password" not in str(user)
        problem(http.post("/users", json=new), 409, "conflict")
        changed = http.patch(f"/users/{user['id']}", json={"role": "supervisor", "disabled": True})
        assert (changed.json()["role"], changed.json()["disabled"]) == ("supervisor", True)
        problem(http.patch(f"/users/{user['id']}", json={}), 422, "invalid_request")
        problem(http.patch("/users/none", json={"role": "viewer"}), 404, "not_found")
        made = http.post("/keys", json={"name": "once", "role": "viewer", "days": 1}).json()
        use = {"Authorization": f"Bearer {made['token']}"}
        assert http.get("/me", headers=use).json()["name"] == "once"
        assert http.delete(f"/keys/{made['key']['prefix']}").json()["revoked_at"]
        problem(http.get("/me", headers=use), 401, "not_signed_in")
        assert made["token"] not in http.get("/keys").text


def test_a_key_asks_only_so_often(api: Served):
    made = api.do(api.application.supervisors.keys.create(COMMAND, name="busy", role="viewer"))
    limit = api.application.settings.api_requests_per_minute
    with httpx.Client(base_url=api.url + "/api/v1", trust_env=False, timeout=60) as http:
        use = {"Authorization": f"Bearer {made.token}"}
        codes = [http.get("/me", headers=use).status_code for _ in range(5)]
        assert codes == [200] * 5
        store = api.application.store
        name = hashlib.sha256(f"key:{made.key.id}".encode()).hexdigest()[:32]
        api.do(store.within_budget(store.redis.set(f"va:rl:{name}", limit, keepttl=True)))
        answer = http.get("/me", headers=use)
        problem(answer, 429, "too_many_requests")
        assert 1 <= int(answer.headers["retry-after"]) <= 60


class Worker:
    """Tells the live view what a worker would."""

    def __init__(self, api: Served, name: str) -> None:
        self.api = api
        self.call_id = call_id_for("twilio", name)
        self.incoming = IncomingCall("twilio", name, "+15550100", "+15551234523")

    def begin(self) -> None:
        line = Line(number="+15550100", business="Bakery", greeting="Hello.")
        session = CallSession(self.incoming, line, Call(state="in_progress", epoch=1))
        self.api.do(Sessions(self.api.application.store).save(session))
        self.renew()
        self.tell("call_state", state="in_progress", attempt=1, reason="")

    def renew(self) -> None:
        self.api.do(LiveCallList(self.api.application.store).renew([self.call_id]))

    def tell(self, kind: str, **payload: Any) -> None:
        async def send() -> None:
            feed = LiveFeed(self.api.application.store)
            feed.publish(self.call_id, 1, kind, self.api.clock.now(), payload)
            await feed.flush()

        self.api.do(send())

    def end(self) -> None:
        self.tell("call_state", state="ended", attempt=1, reason="agent_ended")
        self.api.do(LiveCallList(self.api.application.store).remove([self.call_id]))


def test_a_running_call_is_followed_and_taken_up_where_it_was_left(api: Served):
    worker = Worker(api, f"CA-sse-{api.url}")
    worker.begin()
    path = f"/calls/{worker.call_id}/live"
    with api.client() as http:
        worker.renew()
        assert worker.call_id in [call["call_id"] for call in http.get("/live").json()]

        seen: list[tuple[str, str, Any]] = []
        with http.stream("GET", path) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for event in _events(answer):
                seen.append(event)
                if len(seen) == 1:
                    later = threading.Timer(
                        0.2,
                        worker.tell,
                        ["utterance"],
                        {"role": "caller", "pii_text": "555-123-4567"},
                    )
                    later.start()
                else:
                    break
        assert [kind for _, kind, _ in seen] == ["call_state", "utterance"]
        assert seen[1][2]["payload"]["pii_text"] == "••••••••67"

        worker.tell("utterance", role="agent", pii_text="Thank you.")
        worker.end()
        with http.stream("GET", path, headers={"Last-Event-ID": seen[1][0]}) as answer:
            rest = list(_events(answer))
        assert [kind for _, kind, _ in rest] == ["utterance", "call_state", "end"]
        over = http.get(path, headers={"Last-Event-ID": rest[-1][0]})
        assert (over.status_code, over.content) == (204, b"")
        problem(http.get(path, params={"after": "nonsense"}), 422, "invalid_request")
        problem(http.get("/calls/none/live"), 404, "not_found")


def _events(answer: httpx.Response) -> Any:
    fields: dict[str, str] = {}
    for row in answer.iter_lines():
        if not row and "id" in fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}
        name, _, value = row.partition(": ")
        if name:
            fields[name] = value


def test_the_interface_describes_itself(api: Served):
    with api.client(None) as http:
        document = http.get("/openapi.json").json()
    assert document["servers"] == [{"url": "/api/v1"}]
    paths = document["paths"]
    assert len(paths) > 25
    for path, methods in paths.items():
        for name, operation in methods.items():
            assert operation.get("description") or operation.get("summary"), (path, name)
            if path != "/health":
                assert operation["security"] == [{"HTTPBearer": []}], (path, name)
                refused = operation["responses"]["401"]["content"]
                assert "application/problem+json" in refused
    page = paths["/calls"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert page["$ref"].endswith("Page_CallSummary_")


def test_nothing_is_shared_with_other_pages(api: Served):
    with api.client() as http:
        answer = http.get("/me", headers={"Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in answer.headers


def test_the_folder_of_recordings_is_not_left(api: Served):
    outside = Path(api.data_dir) / "lines.yaml"
    payload = {"path": str(outside), "sha256": "0" * 64, "bytes": 1, "duration_ms": 1}
    api.do(api.book.write("escape", (1, "recording", payload)))
    with api.client("admin") as http:
        problem(http.get("/calls/escape/recordings/0"), 404, "not_found")
