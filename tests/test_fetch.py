"""Fetching from a small hub on this machine: whole files or none, and going on after a broken connection."""

import errno
import os
import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import huggingface_hub
import pytest
from fake_hub import COMMIT, FakeHub

from deepforcing.models import fetch as fetch_module
from deepforcing.models import transfer
from deepforcing.models.components import ModelError
from deepforcing.models.fetch import LicenceError, fetch, find_local, present
from deepforcing.models.sources import SOURCES, Part, Source

REPO, WEIGHTS = "someone/base", "someone/weights"
BIG = os.urandom(300_000)
SHARDS = ("text_encoder/model-00001-of-00002.safetensors", "text_encoder/model-00002-of-00002.safetensors")
FILES = {
    REPO: {
        "README.md": b"not wanted",
        "text_encoder/config.json": b'{"a": 1}',
        "text_encoder/model.safetensors.index.json": b'{"weight_map": {}}',
        SHARDS[0]: BIG[:5000],
        SHARDS[1]: BIG[5000:9000],
        "text_encoder/pytorch_model.bin": b"not wanted either",
    },
    WEIGHTS: {"checkpoints/model.pt": BIG, "checkpoints/other.pt": b"not wanted"},
}
SOURCE = Source(
    "small",
    "Small",
    parts=(
        Part(
            "text_encoder",
            REPO,
            where="text_encoder",
            files=("text_encoder/config.json", "text_encoder/model*.safetensors"),
            also=("text_encoder/model.safetensors.index.json", "text_encoder/absent.json"),
            bytes=9000,
            licence="Apache-2.0",
            licence_url="https://example.org/apache",
        ),
        Part(
            "transformer",
            WEIGHTS,
            where="checkpoints/model.pt",
            files=("checkpoints/model.pt",),
            instead=("model.pt", "transformer"),
            bytes=300_000,
            licence="CC BY-NC 4.0",
            licence_url="https://example.org/by-nc",
            non_commercial=True,
        ),
    ),
    window=21,
    sink=0,
)
WANTED = {"checkpoints/model.pt", "text_encoder/config.json", "text_encoder/model.safetensors.index.json", *SHARDS}


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    """No proxy between the test and its own server, no token sent to it, no waiting between attempts."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr(transfer, "RETRY_WAITS", (0.0, 0.0))
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


@pytest.fixture
def hub():
    with FakeHub({repo: dict(files) for repo, files in FILES.items()}) as server:
        yield server


@pytest.fixture(params=["folder", "cache"])
def place(request, tmp_path):
    """Where the files go, as fetch's own arguments."""
    return {request.param: tmp_path / "place"}


def get(hub, place, **more):
    return fetch(SOURCE, endpoint=hub.endpoint, accept_non_commercial=True, **place, **more)


def files_in(root):
    """Every file that a loader could meet, by its path below `root`."""
    if not root.exists():
        return set()
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith((".incomplete", ".lock", "CACHEDIR.TAG"))
    }


def test_every_part_arrives_whole_and_nothing_else(hub, place):
    paths = get(hub, place)
    assert paths["transformer"].read_bytes() == BIG
    assert [(paths["text_encoder"] / shard.split("/")[1]).read_bytes() for shard in SHARDS] == [
        BIG[:5000],
        BIG[5000:9000],
    ]
    assert sorted(name for name, _ in hub.downloads) == sorted(WANTED)
    if "folder" in place:
        assert files_in(place["folder"]) == WANTED


def test_what_is_there_is_not_asked_for_again(hub, place):
    first = get(hub, place)
    hub.requests.clear()
    assert get(hub, place) == first == present(SOURCE, **place)
    assert hub.requests == []


def test_a_part_asked_for_by_name_comes_alone(hub, tmp_path):
    assert list(get(hub, {"folder": tmp_path}, parts=["transformer"])) == ["transformer"]
    assert files_in(tmp_path) == {"checkpoints/model.pt"}


def test_the_hubs_own_tools_find_what_was_fetched_into_their_cache(hub, tmp_path):
    path = get(hub, {"cache": tmp_path})["transformer"]
    found = huggingface_hub.try_to_load_from_cache(WEIGHTS, "checkpoints/model.pt", cache_dir=tmp_path)
    assert found == str(path) and f"/snapshots/{COMMIT}/" in path.as_posix()


def test_what_the_hubs_own_tools_fetched_is_used(hub, tmp_path):
    for name in FILES[REPO]:
        huggingface_hub.hf_hub_download(REPO, name, cache_dir=tmp_path, endpoint=hub.endpoint)
    assert list(present(SOURCE, cache=tmp_path)) == ["text_encoder"]


def test_progress_counts_files_and_bytes_up_to_the_whole(hub, place, monkeypatch):
    monkeypatch.setattr(fetch_module, "_REPORT_SECONDS", 0.0)
    seen = []
    get(hub, place, progress=seen.append)
    total = sum(len(FILES[REPO][name]) for name in WANTED & FILES[REPO].keys()) + len(BIG)
    assert [step.done_bytes for step in seen] == sorted(step.done_bytes for step in seen)
    assert (seen[0].done_bytes, seen[-1].done_bytes) == (0, total)
    assert {step.total_bytes for step in seen} == {total}
    assert (seen[0].files_done, seen[-1].files_done) == (0, 5) and {step.files_total for step in seen} == {5}
    assert {(step.part, step.file) for step in seen} >= {
        ("text_encoder", SHARDS[1]),
        ("transformer", "checkpoints/model.pt"),
    }
    big = [step.file_done_bytes for step in seen if step.file == "checkpoints/model.pt"]
    assert (big[0], big[-1]) == (0, 300_000) and any(0 < count < 300_000 for count in big)


def test_a_connection_that_breaks_is_taken_up_where_it_was(hub, place):
    hub.cut = [None, None, 100_000, 50_000]  # the shards come whole, the checkpoint in three pieces
    assert get(hub, place)["transformer"].read_bytes() == BIG
    spans = [span for name, span in hub.downloads if name == "checkpoints/model.pt"]
    assert spans == [None, "bytes=100000-", "bytes=150000-"]


def test_a_fetch_that_was_given_up_goes_on_next_time(hub, place):
    hub.cut = [None, None, 100_000, 0, 0, 0]
    with pytest.raises(ModelError, match=r"transformer of someone/weights .* cannot be reached .* start again"):
        get(hub, place)
    assert list(present(SOURCE, **place)) == ["text_encoder"]
    assert not any(name.endswith("model.pt") for name in files_in(next(iter(place.values()))))
    hub.downloads.clear()
    seen = []
    assert get(hub, place, progress=seen.append)["transformer"].read_bytes() == BIG
    assert [span for _, span in hub.downloads] == ["bytes=100000-"]
    assert seen[0].done_bytes == 100_000


def test_a_part_that_came_in_part_is_completed_and_not_trusted_before(hub, place):
    hub.cut = [None, 0, 0, 0]  # the smaller shard comes, the other does not
    with pytest.raises(ModelError, match="text_encoder of someone/base"):
        get(hub, place)
    assert present(SOURCE, **place) == {}
    hub.downloads.clear()
    assert (get(hub, place)["text_encoder"] / "model-00001-of-00002.safetensors").read_bytes() == BIG[:5000]
    assert [name for name, _ in hub.downloads] == [SHARDS[0], "checkpoints/model.pt"]


def test_an_exception_from_progress_ends_the_fetch_and_the_next_goes_on(hub, place, monkeypatch):
    monkeypatch.setattr(fetch_module, "_REPORT_SECONDS", 0.0)

    def stop(step):
        if step.file_done_bytes > 50_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(hub, place, progress=stop)
    assert "transformer" not in present(SOURCE, **place)
    assert get(hub, place)["transformer"].read_bytes() == BIG
    last = hub.downloads[-1][1]
    assert last is not None and int(last.removeprefix("bytes=").rstrip("-")) > 50_000


def test_two_fetches_at_once_take_turns(hub, place):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: get(hub, place), range(2))
    assert first == second and first["transformer"].read_bytes() == BIG
    assert sorted(name for name, _ in hub.downloads) == sorted(WANTED)


def test_a_token_is_shown_to_the_hub_and_to_nobody_else(hub, place, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    get(hub, place, parts=["transformer"])
    elsewhere = {path for path in hub.requests if path.startswith("/large/")}
    assert elsewhere and set(hub.authorised) == set(hub.requests) - elsewhere


def test_a_server_that_knows_no_ranges_sends_the_whole_file_again(hub, tmp_path):
    hub.cut, hub.ranges = [100_000], False
    assert get(hub, {"folder": tmp_path}, parts=["transformer"])["transformer"].read_bytes() == BIG


def test_damaged_bytes_are_thrown_away(hub, place):
    hub.damage = True
    with pytest.raises(ModelError, match=r"arrived damaged and was thrown away"):
        get(hub, place, parts=["transformer"])
    assert present(SOURCE, **place) == {}
    hub.damage = False
    assert get(hub, place, parts=["transformer"])["transformer"].read_bytes() == BIG
    assert hub.downloads[-1][1] is None, "nothing of the damaged file was kept"


def test_a_licence_that_nobody_agreed_to_stops_before_the_first_request(hub, place):
    with pytest.raises(
        LicenceError, match=r"transformer of someone/weights: CC BY-NC 4.0, https://.*--accept-licence"
    ) as refusal:
        fetch(SOURCE, endpoint=hub.endpoint, **place)
    assert [part.name for part in refusal.value.parts] == ["transformer"]
    assert hub.requests == [] and files_in(next(iter(place.values()))) == set()


def test_no_agreement_is_needed_for_free_parts_or_for_what_is_there(hub, place):
    fetch(SOURCE, endpoint=hub.endpoint, parts=["text_encoder"], **place)
    get(hub, place)
    assert list(fetch(SOURCE, endpoint=hub.endpoint, **place)) == ["text_encoder", "transformer"]


def test_a_disk_with_too_little_room_is_found_out_before_the_download(hub, place, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 200_000))
    with pytest.raises(ModelError, match=r"309 kB are needed and 200 kB are free on the disk of .*: free some, or"):
        get(hub, place)
    assert hub.downloads == []


def test_room_is_asked_only_for_what_is_still_to_come(hub, place, monkeypatch):
    hub.cut = [None, None, 250_000, 0, 0, 0]
    with pytest.raises(ModelError):
        get(hub, place)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 60_000))
    assert get(hub, place)["transformer"].read_bytes() == BIG


def test_a_disk_that_fills_up_meanwhile_is_a_clear_error(hub, place, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch_module, "download", full)
    with pytest.raises(ModelError, match="The disk is full: free some space and start again"):
        get(hub, place)


def test_a_place_that_cannot_be_written_is_a_clear_error(hub, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelError, match=r"text_encoder of someone/base cannot be written: .*file"):
        get(hub, {"folder": tmp_path / "file"})


def test_offline_uses_what_is_there(hub, place):
    paths = get(hub, place)
    assert fetch(SOURCE, endpoint="http://127.0.0.1:9", offline=True, **place) == paths
    assert fetch(SOURCE, endpoint="http://127.0.0.1:9", **place) == paths


def test_offline_with_parts_missing_names_them(hub, place):
    get(hub, place, parts=["text_encoder"])
    with pytest.raises(ModelError, match="offline, and not on this machine: transformer of Small"):
        get(hub, place, offline=True)


def test_an_unreachable_hub_is_a_clear_error(tmp_path):
    with pytest.raises(
        ModelError, match=r"text_encoder of someone/base .* cannot be reached .* give the folder's path"
    ):
        fetch(SOURCE, endpoint="http://127.0.0.1:9", folder=tmp_path, accept_non_commercial=True)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, "RepoNotFound"), "someone/weights was not found: set HF_TOKEN if it is private"),
        ((401, ""), "refuses access: check HF_TOKEN"),
        ((403, "GatedRepo"), "someone/weights is open only to those who asked"),
        ((403, ""), "refuses access: check HF_TOKEN"),
        ((500, ""), r"has trouble: try again later \(HTTP 500"),
    ],
)
def test_a_refusal_of_the_hub_says_what_to_do(hub, tmp_path, answer, message):
    hub.refuse[WEIGHTS] = answer
    with pytest.raises(ModelError, match=message) as error:
        get(hub, {"folder": tmp_path})
    assert "\n" not in str(error.value) and hub.downloads == []


@pytest.mark.parametrize("lost", [SHARDS, ("text_encoder/config.json",)])
def test_a_repository_without_a_needed_file_is_refused_before_the_download(hub, tmp_path, lost):
    for name in lost:
        del hub.repos[REPO][name]
    with pytest.raises(ModelError, match=r"someone/base has no text_encoder/(model|config).* has changed"):
        get(hub, {"folder": tmp_path})
    assert hub.downloads == []


def test_a_hub_without_the_beginning_of_its_address_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "mirror.example")
    with pytest.raises(ModelError, match=r"lacks its beginning: set HF_ENDPOINT to https://mirror\.example"):
        fetch(SOURCE, folder=tmp_path, accept_non_commercial=True)


def test_a_repository_without_the_folder_is_refused(hub, tmp_path):
    hub.repos[WEIGHTS] = {"model.pt": BIG}
    with pytest.raises(ModelError, match=r"someone/weights lacks a file of transformer: expected checkpoints/model.pt"):
        get(hub, {"folder": tmp_path})


def lay_out(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_a_folder_of_ones_own_serves_as_it_is(tmp_path):
    lay_out(tmp_path, "text_encoder/config.json", "text_encoder/model.safetensors", "checkpoints/model.pt")
    assert find_local(SOURCE, tmp_path) == {
        "text_encoder": tmp_path / "text_encoder",
        "transformer": tmp_path / "checkpoints" / "model.pt",
    }


@pytest.mark.parametrize("names", [["model.pt"], ["transformer/config.json", "transformer/x.safetensors"]])
def test_the_transformer_may_lie_elsewhere_in_a_folder_of_ones_own(tmp_path, names):
    lay_out(tmp_path, *names)
    assert find_local(SOURCE, tmp_path, ["transformer"]) == {"transformer": tmp_path / names[0].split("/")[0]}


def test_a_folder_with_gaps_is_refused_with_the_list_of_them(tmp_path):
    lay_out(tmp_path, "text_encoder/model-00002-of-00003.safetensors", "transformer/x.safetensors")
    with pytest.raises(ModelError) as error:
        find_local(SOURCE, tmp_path)
    assert str(error.value) == (
        f"{tmp_path} lacks text_encoder/config.json, text_encoder/model-00001-of-00003.safetensors, "
        "text_encoder/model-00003-of-00003.safetensors, text_encoder/model.safetensors.index.json, "
        "checkpoints/model.pt, which Small needs"
    )


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"is not a folder: expected one with the parts of Self Forcing 1.3B"):
        find_local(SOURCES["self-forcing"], tmp_path / "nowhere")
