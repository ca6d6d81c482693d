import base64
import io
import json

import numpy as np
import pytest
from gradio.utils import diff
from PIL import Image

from deepforcing import AttentionMass, CacheState, Chunk, Compression, Geometry, StreamEnded, StreamStarted, Timings
from ui.memory.packing import Sample
from ui.player.messages import Codec, chunk_message, ended_message, packet, started_message

LAYERS, HEADS, GRID = 2, 2, (2, 3)
SAMPLE = Sample.of(Geometry(*GRID), LAYERS, HEADS)


def a_chunk(index: int = 3, fired: bool = True) -> Chunk:
    rng = np.random.default_rng(index)
    kept = rng.random((LAYERS, 4, *GRID)) < 0.5
    mass = rng.random((LAYERS, HEADS, 5)).astype(np.float32)
    mass /= mass.sum(-1, keepdims=True)
    roles, time = ("sink", "sink", "top-C", "recent"), np.zeros((LAYERS, 4), np.float32)
    frames = np.array([0, 1, 4, 5])
    return Chunk(
        index=index,
        first_frame=9 + 12 * (index - 1),
        latent_frames=(3 * index, 3 * index + 3),
        frames=rng.integers(0, 255, (12, 32, 48, 3), dtype=np.uint8),
        prompt="<b>a red balloon</b>",
        timings=Timings(dit=0.2, decode=0.1),
        cache=CacheState(frames, kept, roles, time, 24, 4096),
        compression=Compression(frames[2:], kept[:, 2:], kept[:, 2:], np.zeros((LAYERS, 2, *GRID))) if fired else None,
        attention=AttentionMass(np.arange(5), ("sink", "sink", "recent", "current", "current"), mass),
    )


def test_a_chunk_becomes_plain_json():
    message = chunk_message(a_chunk(), SAMPLE)
    again = json.loads(json.dumps(message))
    assert again == message
    assert message["mime"] == "image/webp" and message["compression"] is True
    assert message["first"] == 33 and len(message["frames"]) == 12 and message["latents"] == [9, 12]
    assert message["prompt"] == "<b>a red balloon</b>"  # text stays text: the page never reads it as markup


def test_seconds_are_the_measured_ones():
    seconds = chunk_message(a_chunk(), SAMPLE)["seconds"]
    assert seconds["dit"] == 0.2 and seconds["decode"] == 0.1 and seconds["encode"] > 0


def test_a_chunk_without_compression_and_probe():
    chunk = a_chunk(fired=False)
    message = chunk_message(Chunk(**{**vars(chunk), "attention": None}), SAMPLE)
    assert message["compression"] is False and message["attention"] is None


@pytest.mark.parametrize(("size", "kind"), [((96, 96), "WEBP"), ((480, 832), "JPEG")])
def test_frames_come_back_nearly_as_they_were(size, kind):
    ramp = np.linspace(0, 255, size[0] * size[1] * 3).reshape(*size, 3).astype(np.uint8)
    codec = Codec.of(*size)
    image = Image.open(io.BytesIO(base64.b64decode(codec.encode(ramp))))
    assert image.format == kind and image.get_format_mimetype() == codec.mime
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - ramp).mean() < 4


def test_the_start_names_the_geometry():
    sizes = {"fps": 16, "height": 32, "width": 48, "stride": 4, "chunk_frames": 3, "layers": 2, "heads": 2}
    run = {"policy": "deep-sink", "settings": {"sink": 10}, "attention": "PyTorch", "weights": "0123456789abcdef"}
    event = StreamStarted(model="small", prompt="a boat", seed=2**63 - 1, grid=GRID, **run, **sizes)
    message = started_message(event)
    assert message["grid"] == [2, 3] and message["layers"] == [0, 1] and message["stride"] == 4
    assert message["of"] == {"layers": 2, "heads": 2} and message["settings"] == {"sink": 10}
    assert message["seed"] == str(2**63 - 1)
    assert json.loads(json.dumps(message)) == message


def test_the_end_carries_the_error():
    assert ended_message(StreamEnded("error", 3, "out of <memory>"))["error"] == "out of <memory>"


def test_a_packet_reaches_the_page_whole_whatever_came_before():
    """Gradio sends the page what changed since the last value: of text that is all of it."""
    before, now = packet([{"frames": [1, 2, 3, 4, 5]}] * 3), packet([{"frames": [1, 2]}])
    assert diff(before, now) == [["replace", [], now]] and json.loads(now) == {"messages": [{"frames": [1, 2]}]}
