"""The ways in that are not the page: a program's, and somebody's who sends what no page sends."""

import io
import itertools
from base64 import b64decode
from pathlib import Path

import httpx
import imageio_ffmpeg
import numpy as np
import pytest
from conftest import small_pipeline, soon
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from deepforcing import POLICIES, DeepForcing, generate_long_video, make_policy, read_trace, settings_of
from ui.app import App
from ui.hosting.programs import MOST_SECONDS
from ui.loading.loader import Loader, Offer
from ui.recordings.library import Recordings

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
SETTINGS = {"window": 9, "sink": 3, "budget": 8, "recent": 4}
JUNK = (None, {}, [], "x", -1, {"a": [1]}, 1e300, True, [[{}]])
WAIT = 60  # seconds, far more than an answer takes
TOLD = {"run": [], "seen": {}, "frame": "x", "playing": 3, "search": None, "was": 1, "now": [], "paused": "y"}


@pytest.fixture(scope="module")
def app():
    app = App(small_pipeline(), recordings=Recordings([]))
    app.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


@pytest.fixture(scope="module")
def client(app):
    return Client(app.blocks.local_url, verbose=False, httpx_kwargs={"timeout": WAIT})


def test_a_program_learns_what_there_is(app, client):
    model = client.predict(api_name="/model")
    assert model["weights"] == app.pipeline.weights and (model["width"], model["height"]) == (48, 32)
    assert model["fps"] == 16 and model["runs"] == 0 and model["device"] == "cpu"
    policies = {policy["name"]: policy for policy in client.predict(api_name="/policies")}
    assert set(policies) == set(POLICIES)
    assert policies["deep-forcing"]["settings"] == settings_of(make_policy("deep-forcing"))
    assert "released" in policies["deep-forcing"]["choices"]["phase"]


def test_a_program_gets_its_files_and_is_told_how_far_they_are(app, client):
    job = client.submit("a red balloon", 2.5, 3, "deep-forcing", SETTINGS, api_name="/generate")
    last = job.result()
    assert [part["frames"] for part in job.outputs()][:4] == [9, 21, 33, 40] and last["of"] == 40
    assert imageio_ffmpeg.count_frames_and_secs(last["video"])[0] == 40
    trace = read_trace(Path(last["trace"]))
    assert trace.started.seed == 3 and trace.started.settings["budget"] == 8
    assert soon(lambda: app.sessions.active == 0)


def test_a_program_gets_frames_as_they_are_made_and_prompts_that_follow_each_other(app, client):
    parts = list(client.submit([[0, "a red"], [1, "a blue boat"]], 2.0, 5, api_name="/stream"))
    assert [part["prompt"] for part in parts] == ["a red", "a red", "a blue boat"]
    assert [part["first"] for part in parts] == [0, 9, 21] and sum(len(part["frames"]) for part in parts) == 32
    frame = picture(parts[0]["frames"][0]).astype(int)
    firsts = [next(generate_long_video(app.pipeline, "a red", seed=seed, policy=DeepForcing())) for seed in range(8)]
    assert np.argmin([np.abs(frame - first.frames[0]).mean() for first in firsts]) == 5


def picture(base64: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(b64decode(base64))).convert("RGB"))


def test_plain_http_is_enough(app):
    base = f"{app.blocks.local_url}gradio_api/call/generate"
    event = httpx.post(base, json={"data": ["a red", 0.5]}, timeout=WAIT).json()["event_id"]
    text = httpx.get(f"{base}/{event}", timeout=WAIT).text
    assert text.count("event: generating") >= 1 and '"frames": 8, "of": 8, "video": {"path"' in text


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"prompt": 3}, "prompt: input should be a valid string"),
        ({"prompt": ""}, "The prompt is empty"),
        ({"prompt": [["a", 1]]}, "prompt: "),
        ({"prompt": []}, "at least one prompt"),
        ({"seconds": -1}, "greater than 0"),
        ({"seconds": MOST_SECONDS + 1}, f"less than or equal to {MOST_SECONDS}"),
        ({"seconds": "x"}, "valid number"),
        ({"seed": "1"}, "valid integer"),
        ({"seed": 2**63}, "less than or equal to"),
        ({"policy": "x"}, "unknown policy 'x'"),
        ({"settings": {"x": 1}}, "deep-forcing has no setting 'x'"),
        ({"settings": [1]}, "valid dictionary"),
        ({"settings": {"window": []}}, "valid integer"),
        ({"settings": {"window": 2}}, "sink 10 fills the whole window of 2"),
        ({"switch": "x"}, "switch must be one of"),
    ],
)
def test_what_cannot_be_is_refused_in_words(client, capfd, asked, words):
    with pytest.raises(AppError, match=words):
        client.predict(**{"prompt": "a", **asked}, api_name="/generate")
    assert "Traceback" not in capfd.readouterr().err


def test_requests_that_no_page_sends_leave_no_traceback(app, capfd):
    """Each endpoint, private ones included, gets values of wrong kinds, too few, and events that tell nonsense."""
    junk = itertools.cycle(JUNK)
    with httpx.Client(base_url=f"{app.blocks.local_url}gradio_api", timeout=WAIT) as http:
        for number, function in app.blocks.fns.items():
            for told, some in ((TOLD, next(junk)), (next(junk), next(junk))):
                send(http, number, [some] * len(function.inputs), told, function.queue)
            send(http, number, [], None, function.queue)
    assert "Traceback" not in capfd.readouterr().err
    assert httpx.get(app.blocks.local_url, timeout=WAIT).status_code == 200


def send(http: httpx.Client, number: int, data: list, told, queued: bool) -> None:
    session = f"stranger-{number}-{len(data)}-{id(told)}"
    request = {"fn_index": number, "data": data, "event_data": told, "session_hash": session, "trigger_id": None}
    answer = http.post("/queue/join" if queued else "/run/predict", json=request)
    if queued and answer.status_code == 200:
        with http.stream("GET", f"/queue/data?session_hash={session}") as lines:
            next(line for line in lines.iter_lines() if "process_completed" in line or "close_stream" in line)


def test_who_looks_after_the_server_can_ask_how_it_is(app, client, caplog, monkeypatch):
    monkeypatch.setattr("ui.hosting.tally.RECENT_SECONDS", 1000.0)  # ten may be over before it is asked
    with caplog.at_level("INFO", "deepforcing.runs"):
        client.predict("a red", 1.0, 4, api_name="/generate")
    assert caplog.messages[-1].endswith("fps)") and " finished: 16 frames in " in caplog.messages[-1]
    with httpx.Client(base_url=app.blocks.local_url, timeout=WAIT) as http:
        assert http.get("/healthz").text == "alive\n" and http.get("/readyz").status_code == 200
        told = dict(line.rsplit(" ", 1) for line in http.get("/metrics").text.splitlines() if line[0] != "#")
    assert told["deepforcing_running"] == told["deepforcing_waiting"] == "0.0"
    assert float(told['deepforcing_runs_ended_total{reason="finished"}']) >= 1
    assert float(told["deepforcing_frames_made_total"]) >= 16
    assert float(told["deepforcing_frames_per_second"]) >= 0.016, "those 16 in the last thousand seconds"
    assert told["deepforcing_stalls_total"] == "0.0"
    assert float(told["deepforcing_first_frame_seconds_count"]) >= 1


def test_a_server_whose_model_is_not_there_yet_is_alive_and_not_ready():
    app = App(Loader(lambda report: small_pipeline(), Offer("Ask first.", asks=True)), recordings=Recordings([]))
    app.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    try:
        with httpx.Client(base_url=app.blocks.local_url, timeout=WAIT) as http:
            assert [http.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200, 503, 200]
        with pytest.raises(AppError, match="not loaded yet"):
            Client(app.blocks.local_url, verbose=False, httpx_kwargs={"timeout": WAIT}).predict(api_name="/model")
    finally:
        app.blocks.close()
