import imageio_ffmpeg
import numpy as np
import pytest

from deepforcing.config import VideoShape
from deepforcing.video_file import VideoWriter, read_frames

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
