"""Whole calls through the `vita` command, on a model server that says the same to everything."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import soundfile
from typer.testing import CliRunner

from agent.cli.main import app
from tests.end_to_end.running import ROOT, background, command, vita

pytestmark = pytest.mark.end_to_end

LINES = ROOT / "agent" / "demo" / "lines.yaml"
QUESTION = ROOT / "tests" / "serving" / "question.flac"


def test_a_demonstration_that_does_not_convince_fails_and_says_why(
    parrot: str, two_questions: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    data = tmp_path / "data"
    options = ("--model-url", parrot, "--callers", two_questions, "--data-dir", data)
    done = vita("demo", *options, env=environment)
    assert done.code == 1, done.err
    assert "1 of 2 answers right (2 needed)" in done.out
    assert "how much is a cleaning" in done.out
    assert "what failed" in done.out
    assert "no fault was logged" in done.out
    (picture,) = data.glob("recordings/**/*.png")
    sound, rate = soundfile.read(picture.with_suffix(".wav"), always_2d=True)
    assert (rate, sound.shape[1]) == (8000, 2)
    with sqlite3.connect(data / "calls.db") as log:
        assert log.execute("SELECT state, end_reason FROM calls").fetchall() == [
            ("ended", "caller_hung_up")
        ]
        words = log.execute("SELECT pii_text FROM utterances WHERE role = 'agent'").fetchall()
    assert [text for (text,) in words].count("We open at 9 am.") == 2


def test_a_call_with_a_recording_of_ones_own(
    parrot: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / "heard.wav"
    lines = tmp_path / "lines.yaml"
    lines.write_text(LINES.read_text().replace("after_hours: say", "after_hours: answer"))
    options = ("--model-url", parrot, "--data-dir", tmp_path / "data", "--out", out)
    options += ("--lines", lines)
    done = vita("call", "--wav", QUESTION, "--line", "+15550101", *options, env=environment)
    assert done.code == 0, done.err
    assert "Ridgeway Bikes" in done.out
    assert "We open at 9 am." in done.out
    sound, _ = soundfile.read(out)
    assert abs(sound).max() > 0.05


def test_serve_and_twin_take_a_call_and_stop_when_told(
    parrot: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    env = environment | {"VITA_DATA_DIR": str(tmp_path / "data")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = str(probe.getsockname()[1])
    agent = f"http://127.0.0.1:{free}"
    with background(command("twin", "--port", "0", "--agent", agent), "The twin") as (line, _):
        twin = re.findall(r"http://[\d.:]+", line)[0]
        options = ("--port", free, "--twin", twin, "--lines", str(LINES), "--model-url", parrot)
        serve = subprocess.Popen(
            command("serve", *options), env=env, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert serve.stderr is not None
        try:
            while "agent_answers" not in (line := serve.stderr.readline()):
                assert line, "the agent ended"
            assert f"{agent}/call/brightside" in line
            taken = vita("serve", *options, env=env)
            called = vita(
                "call", "--twin", twin, "--wav", QUESTION, "--out", tmp_path / "out.wav", env=env
            )
            shown = vita("calls", "list", env=env)
            key = vita("keys", "create", "test", "--role", "supervisor", env=env).out.strip()
            with httpx.Client(
                base_url=f"{agent}/api/v1",
                headers={"Authorization": f"Bearer {key}"},
                trust_env=False,
                timeout=20,
            ) as api:
                found = api.get("/search", params={"q": '"we open at"'}).json()["items"]
                call = f"/calls/{found[0]['call_id']}"
                followed = api.get(f"{call}/live").text
                heard = api.get(f"{call}/recordings/0", headers={"Range": "bytes=0-3"})
        finally:
            serve.send_signal(signal.SIGTERM)
            serve.communicate(timeout=30)
    assert taken.code == 3
    assert len(taken.err.strip().splitlines()) == 1
    assert called.code == 0, called.err
    assert "We open at 9 am." in called.out
    assert "+15550100" in shown.out
    assert serve.returncode == 0
    assert (tmp_path / "out.wav").exists()
    assert (heard.status_code, heard.content) == (206, b"RIFF")
    kinds = re.findall(r"^event: (\w+)$", followed, re.MULTILINE)
    assert kinds.index("caption") < kinds.index("utterance")
    assert kinds[-1] == "end"


def test_typed_turns_are_answered_and_saved(
    parrot: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / "said.wav"
    done = vita("chat", "When?", "--model-url", parrot, "--wav-out", out, env=environment)
    assert done.code == 0, done.err
    assert "We open at 9 am." in done.out
    assert soundfile.info(out).duration > 0.5


@pytest.mark.usefixtures("no_settings")
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("call", "--wav", "none.wav"), 4, "none.wav"),
        (("call", "--wav", str(LINES)), 4, "lines.yaml"),
        (("call", "--wav", str(QUESTION), "--checkpoint", "none"), 4, "none"),
        (("call", "--wav", str(QUESTION), "--twin", "http://127.0.0.1:1"), 1, "vita twin"),
        (("chat", "hello", "--model-url", "ws://127.0.0.1:1"), 1, "vita model serve"),
        (("chat", "hello", "--line", "+15559999"), 1, "+15559999"),
        (("serve", "--lines", "none.yaml", "--port", "0", "--model-url", "PARROT"), 2, "none.yaml"),
        (("demo", "--callers", "none.yaml"), 2, "none.yaml"),
        (("demo", "--lines", "none.yaml", "--model-url", "PARROT"), 2, "none.yaml"),
        (("demo", "--line", "+15559999", "--model-url", "PARROT"), 1, "+15559999"),
        (("demo", "--checkpoint", "none"), 4, "none"),
    ],
)
def test_what_cannot_work_is_one_sentence(
    arguments: tuple[str, ...], code: int, says: str, parrot: str, tmp_path: Path
) -> None:
    given = [parrot if word == "PARROT" else word for word in arguments]
    if given[0] in {"call", "demo"}:
        given += ["--data-dir", str(tmp_path)]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == code, done.output
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_serving_numbers_needs_a_carrier_and_says_what_to_set(
    parrot: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    lines = tmp_path / "phones.yaml"
    lines.write_text('lines: [{number: "+15550100", business: B, greeting: Hello.}]')
    env = environment | {"VITA_DATA_DIR": str(tmp_path / "data")}
    done = vita("serve", "--lines", lines, "--port", "0", "--model-url", parrot, env=env)
    assert done.code == 2
    for setting in ("VITA_TWILIO_ACCOUNT_SID", "VITA_PUBLIC_URL", "`web` name"):
        assert setting in done.err.splitlines()[-1]
    half = env | {"VITA_TWILIO_ACCOUNT_SID": "AC1"}
    done = vita("serve", "--lines", lines, "--port", "0", "--model-url", parrot, env=half)
    assert done.code == 2
    assert "VITA_TWILIO_AUTH_TOKEN" in done.err


def test_a_demonstration_told_to_stop_leaves_nothing_running(
    parrot: str, two_questions: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    options = ("--model-url", parrot, "--callers", str(two_questions), "--data-dir", str(tmp_path))
    with background(command("demo", *options), "agent") as (_, process):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 130
    for _ in range(100):
        if not (tmp_path / "valkey" / "valkey.sock").exists():
            return
        time.sleep(0.1)
    raise AssertionError("Valkey is still there")


def test_a_demonstration_that_stays_shows_the_call_page_and_the_console(
    parrot: str, two_questions: Path, tmp_path: Path
) -> None:
    options = ("--stay", "--model-url", parrot, "--callers", two_questions, "--data-dir", tmp_path)
    with background(command("demo", *options), "still running") as (_, process):
        assert process.stdout is not None
        said = ""
        while "password" not in said:
            said += process.stdout.readline()
        page, console = re.findall(r"http://\S+", said)
        email, password = re.findall(r"sign in as (\S+), password (\S+)", said)[0]
        with httpx.Client(trust_env=False, timeout=30) as browser:
            assert "Brightside Dental" in browser.get(page).text
            form = {"email": email, "password": password}
            assert browser.post(f"{console}/sign-in", data=form).status_code == 303
            assert browser.get(f"{console}/calls").status_code == 200
            assert "Ridgeway Bikes" in browser.get(f"{console}/lines").text
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1, "the parrot knows one answer only"
