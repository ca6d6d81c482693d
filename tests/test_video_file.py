import json
import os
import subprocess
import sys
import time
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from deepforcing.config import VideoShape
from deepforcing.video_file import VideoWriter, read_frames, rewrite_metadata

SHAPE = VideoShape(32, 48)


def frames(n=20):
    ramp = np.linspace(0, 255, 48, dtype=np.uint8)
    return np.stack([np.broadcast_to(np.roll(ramp, i)[None, :, None], (32, 48, 3)) for i in range(n)])


def read(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    return next(reader), sum(1 for _ in reader)


def test_a_video_plays_and_carries_its_metadata(tmp_path):
    path = tmp_path / "out.mp4"
    with VideoWriter(path, SHAPE, {"title": 'a "red" <b>balloon</b>; x=1', "comment": "seed 3"}) as video:
        video.write(frames(12))
        video.write(frames(8))
    meta, count = read(path)
    assert count == 20 and meta["fps"] == 16 and meta["pix_fmt"].startswith("yuv420p") and meta["codec"] == "h264"
    assert meta["size"] == (384, 256)
    assert b"seed 3" in path.read_bytes() and b"<b>balloon</b>" in path.read_bytes()


def test_a_file_cut_short_still_plays(tmp_path):
    path = tmp_path / "out.mp4"
    with VideoWriter(path, SHAPE) as video:
        video.write(frames(160))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert 20 < read(cut)[1] < 160


@pytest.mark.parametrize(
    "name", ["21:43.mp4", "-night.mp4", "pipe:1.mp4", "%03d.mp4", "A 'b' \\ c?.MP4", "x" * 251 + ".mp4"]
)
def test_a_name_is_a_name_whatever_ffmpeg_would_read_in_it(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with VideoWriter(name, SHAPE) as video:
        video.write(frames(5))
    assert os.listdir(tmp_path) == [name] and len(as_read(name)) == 5


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("clip", "the video is an MP4, so its name has to end in .mp4"),
        ("clip.webm", "has to end in .mp4"),
        ("folder.mp4", "it is a folder"),
        ("nowhere/out.mp4", "there is no folder"),
        ("/proc/out.mp4", "cannot write /proc/out.mp4"),
    ],
)
def test_a_file_that_cannot_be_is_refused_at_once(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OSError, match=message):
        VideoWriter(path, SHAPE)
    assert os.listdir(tmp_path) == ["folder.mp4"]


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a shell script in ffmpeg's place, in which `$FFMPEG` is the real one."""
    real = imageio_ffmpeg.get_ffmpeg_exe()

    def put(script: str) -> None:
        path = tmp_path / "ffmpeg.sh"
        path.write_text(f"#!/bin/sh\nFFMPEG='{real}'\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(path))

    return put


def noise(n):
    return np.random.default_rng(0).integers(0, 256, (n, 32, 48, 3), np.uint8)


FULL = "trap '' XFSZ; ulimit -f 512; exec $FFMPEG \"$@\""  # files of at most 256 kB: as on a full disk, writes fail


def test_a_full_disk_is_told_and_what_there_is_stays_and_plays(tmp_path, program):
    program(FULL)
    out = tmp_path / "out.mp4"
    with pytest.raises(OSError, match=r"out\.mp4: .*File too large\. The video so far is in ") as told:
        with VideoWriter(out, SHAPE) as video:
            for _ in range(50):
                video.write(noise(40))
    assert not out.exists() and 0 < len(as_read(str(told.value).split(" is in ")[1])) < 2000


def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path, program):
    program(FULL.replace("512", "1"))
    with pytest.raises(OSError, match=r"File too large$"), VideoWriter(tmp_path / "out.mp4", SHAPE) as video:
        video.write(frames(20))
    assert os.listdir(tmp_path) == ["ffmpeg.sh"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo \"[vost#0:0 @ 0x5] Unknown encoder 'libx264'\" >&2; echo more >&2; exit 8",
            "mp4: Unknown encoder 'libx264'$",
        ),
        ("exit 3", "ffmpeg ended with status 3$"),
        ("kill -9 $$", "ffmpeg was ended by signal 9$"),
    ],
)
def test_what_ffmpeg_says_when_it_fails_is_told(tmp_path, program, script, message):
    program(script)
    with pytest.raises(OSError, match=message), VideoWriter(tmp_path / "out.mp4", SHAPE) as video:
        video.write(frames(20))


@pytest.mark.parametrize("exe", ["/nowhere/ffmpeg", __file__])
def test_without_ffmpeg_it_is_said_how_to_get_one(tmp_path, monkeypatch, exe):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", exe)
    with pytest.raises(OSError, match=rf"no ffmpeg at {exe}, .* set IMAGEIO_FFMPEG_EXE"):
        VideoWriter(tmp_path / "out.mp4", SHAPE)
    assert os.listdir(tmp_path) == []


def test_without_any_ffmpeg_it_is_said_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setattr("imageio_ffmpeg._utils._get_ffmpeg_exe", lambda: None)
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE", raising=False)
    with pytest.raises(OSError, match="there is no ffmpeg: install imageio-ffmpeg"):
        VideoWriter(tmp_path / "out.mp4", SHAPE)


def test_until_it_is_whole_a_file_has_another_name(tmp_path):
    (tmp_path / "out.mp4").write_text("the last one")
    with VideoWriter(tmp_path / "out.mp4", SHAPE) as video:
        video.write(frames(20))
        (part,) = tmp_path.glob("out.part-*.mp4")
        assert (tmp_path / "out.mp4").read_text() == "the last one"
    assert len(as_read(tmp_path / "out.mp4")) == 20 and not part.exists()


KILLED = """
import os, signal, numpy as np
from deepforcing import VideoShape, VideoWriter
video = VideoWriter("out.mp4", VideoShape(32, 48))
video.write(np.zeros((150, 32, 48, 3), np.uint8))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_program_leaves_plays(tmp_path):
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=here).returncode == -9
    (part,) = tmp_path.iterdir()
    until = time.monotonic() + 60
    while len(as_read(part)) < 150 and time.monotonic() < until:
        time.sleep(0.05)  # ffmpeg lives on for a moment, and ends the file
    assert len(as_read(part)) == 150 and part.match("out.part-*.mp4")


INTERRUPTED = """
import os, signal, time, numpy as np
from deepforcing import VideoShape, VideoWriter
with VideoWriter("out.mp4", VideoShape(32, 48)) as video:
    for _ in range(2):
        video.write(np.zeros((20, 32, 48, 3), np.uint8))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.killpg(0, signal.SIGINT)  # as a terminal does: to all of the group
        time.sleep(0.2)
"""


def test_an_interrupt_at_the_terminal_does_not_reach_ffmpeg(tmp_path):
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", INTERRUPTED]
    assert subprocess.run(command, cwd=tmp_path, env=here, start_new_session=True).returncode == 0
    assert os.listdir(tmp_path) == ["out.mp4"] and len(as_read(tmp_path / "out.mp4")) == 40


def test_a_video_without_a_picture_is_no_file(tmp_path):
    VideoWriter(tmp_path / "out.mp4", SHAPE).close()
    assert os.listdir(tmp_path) == []


TEXTS = {
    "title": "a=b; # \\ \"q\" 'r'\nnext line 龍",
    "comment": json.dumps({"prompts": ["a red balloon " * 100] * 100}),  # longer than a command line can be
}


def test_any_text_goes_into_a_file_and_out_again(tmp_path):
    out = tmp_path / "out.mp4"
    with VideoWriter(out, SHAPE, {"title": "first", "comment": "broken \ud800 \0 text"}) as video:
        video.write(frames(5))
    assert b"broken ?  text" in out.read_bytes()
    rewrite_metadata(out, TEXTS)
    assert os.listdir(tmp_path) == ["out.mp4"] and len(as_read(out)) == 5
    found = out.read_bytes()
    assert all(text.encode() in found for text in TEXTS.values()) and b"broken" not in found


def test_metadata_that_cannot_be_rewritten_leaves_the_file_as_it_was(tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"no video")
    with pytest.raises(OSError, match=r"cannot write the prompts into .*out\.mp4: "):
        rewrite_metadata(tmp_path / "out.mp4", TEXTS)
    assert os.listdir(tmp_path) == ["out.mp4"] and (tmp_path / "out.mp4").read_bytes() == b"no video"


@pytest.mark.parametrize("change", [lambda frames: frames[:, :16], lambda frames: frames.astype(np.float32)])
def test_frames_of_another_size_or_kind_are_refused(tmp_path, change):
    with VideoWriter(tmp_path / "out.mp4", SHAPE) as video, pytest.raises(ValueError, match="expected uint8 frames"):
        video.write(change(frames()))


def as_read(path, shape=SHAPE):
    with read_frames(path, shape) as pictures:
        return list(pictures)


@pytest.mark.parametrize(("height", "width"), [(32, 48), (96, 96), (40, 392)])
def test_frames_come_back_nearly_as_they_were(tmp_path, height, width):
    shape, (y, x) = VideoShape(height, width), np.mgrid[:height, :width]
    colours = [128 + 100 * np.sin(x / 19 + colour) * np.cos(y / 11) for colour in range(3)]
    made = np.stack(colours, -1).astype(np.uint8)[None].repeat(5, 0)
    with VideoWriter(tmp_path / "out.mp4", shape) as video:
        video.write(made)
    back = np.stack(as_read(tmp_path / "out.mp4", shape))
    assert back.shape == made.shape and np.abs(back.astype(int) - made).max() < 16


def test_sides_of_any_length_are_written(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", VideoShape(33, 401)) as video:
        video.write(np.full((5, 33, 401, 3), 128, np.uint8))
    assert read(tmp_path / "out.mp4")[0]["size"] == (402, 34)
    assert [frame.shape for frame in as_read(tmp_path / "out.mp4", VideoShape(33, 401))] == [(33, 401, 3)] * 5


def test_reading_may_end_early(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", SHAPE) as video:
        video.write(frames(160))
    with read_frames(tmp_path / "out.mp4", SHAPE) as pictures:
        first = [next(pictures) for _ in range(3)]
    assert len(first) == 3 and np.abs(first[2].astype(int) - frames(3)[2]).mean() < 4


@pytest.mark.parametrize("shape", [VideoShape(32, 800), VideoShape(400, 48)])
def test_a_video_of_other_pictures_has_no_frames(tmp_path, shape):
    with VideoWriter(tmp_path / "out.mp4", SHAPE) as video:
        video.write(frames(20))
    assert as_read(tmp_path / "out.mp4", shape) == []


@pytest.mark.parametrize("name", ["playlist", "concat"])
def test_a_file_that_points_elsewhere_is_not_followed(tmp_path, name):
    with VideoWriter(tmp_path / "out.mp4", SHAPE) as video:
        video.write(frames(20))
    lists = {
        "playlist": "#EXTM3U\n#EXTINF:1,\nout.mp4\n#EXT-X-ENDLIST\n",
        "concat": "ffconcat version 1.0\nfile out.mp4\n",
    }
    path = tmp_path / "other.mp4"
    path.write_text(lists[name])
    assert as_read(path) == []


def test_pictures_of_a_monstrous_size_are_not_decoded(tmp_path):
    shape = VideoShape(4128, 4096)
    with VideoWriter(tmp_path / "out.mp4", shape) as video:
        video.write(np.zeros((1, 4128, 4096, 3), np.uint8))
    assert read(tmp_path / "out.mp4")[1] == 1 and as_read(tmp_path / "out.mp4") == []
