import imageio_ffmpeg
import numpy as np
import pytest

from deepforcing.config import VideoShape
from deepforcing.video_file import VideoWriter

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


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match="there is no folder"):
        VideoWriter(tmp_path / "nowhere" / "out.mp4", SHAPE)


def test_a_file_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(OSError, match=r"out\.mp4"), VideoWriter(tmp_path / "out.mp4", SHAPE) as video:
        for _ in range(200):
            video.write(frames())


def test_frames_of_another_size_are_refused(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", SHAPE) as video, pytest.raises(ValueError, match="expected uint8 frames"):
        video.write(frames()[:, :16])
