"""cuDNN's attention in 8 bits: what the library is asked for, where it is used, and, on CUDA, that it is near exact."""

import argparse
import inspect
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import small_pipeline

from deepforcing.config import SettingsError
from deepforcing.eight_bit import E4M3, EightBits, simulated
from deepforcing.models import cudnn_attention
from deepforcing.models.cudnn_attention import INPUTS, CudnnAttention, error_of_trial, use_eight_bits
from deepforcing.models.loading import Loading
from deepforcing.models.wan import CausalWan
from deepforcing.options import add_loading, loading_from
from deepforcing.pipeline import load_pipeline

TYPES = {"FP8_E4M3": torch.float8_e4m3fn, "FLOAT": torch.float32, "BFLOAT16": torch.bfloat16}


class Named:
    """A tensor as the library describes it."""

    def __init__(self, dim=None, stride=None, data_type=None) -> None:
        self.dim, self.stride, self.data_type, self.is_output = dim, stride, data_type, False

    def set_output(self, value: bool):
        self.is_output = value
        return self

    def set_dim(self, value: list[int]):
        self.dim = value
        return self

    def set_stride(self, value: list[int]):
        self.stride = value
        return self

    def set_data_type(self, value: str):
        self.data_type = value
        return self


class Graph:
    """The library's graph, with the signatures of version 1.32 as far as they are used; it computes as simulated."""

    def __init__(self, *, io_data_type, intermediate_data_type, compute_data_type, handle) -> None:
        assert (io_data_type, intermediate_data_type, compute_data_type) == ("FP8_E4M3", "FLOAT", "FLOAT")
        self.handle, self.built, self.asked = handle, 0, {}

    def tensor(self, dim, stride=None, data_type=None, *, name="") -> Named:
        return Named(dim, stride, data_type)

    def sdpa_fp8(
        self, q, k, v, descale_q, descale_k, descale_v, descale_s, scale_s, scale_o, *, attn_scale, generate_stats, name
    ):
        self.asked = {name: value for name, value in locals().items() if name in INPUTS}
        self.scale, self.output = attn_scale, Named()
        assert generate_stats is False
        return self.output, None, Named(), Named()

    def build(self, heuristics) -> None:
        assert heuristics == ["A", "FALLBACK"] and self.output.is_output
        self.built += 1

    def get_workspace_size(self) -> int:
        return 64

    def execute(self, tensor_dict, workspace=None, handle=None) -> None:
        assert self.built == 1 and handle is self.handle and workspace.numel() == 64
        for named, x in tensor_dict.items():
            assert (named.dim, named.stride) == (list(x.shape), list(x.stride())), "not as it was described"
            assert TYPES[named.data_type] == x.dtype
        x = {name: tensor_dict[named].float() for name, named in self.asked.items()}
        logits = x["q"] @ x["k"].transpose(2, 3) * (x["descale_q"] * x["descale_k"] * self.scale)
        numerators = (logits - logits.amax(-1, keepdim=True)).exp()
        rounded = (numerators * x["scale_s"]).to(E4M3).float() * x["descale_s"]
        out = rounded @ x["v"] * x["descale_v"] / numerators.sum(-1, keepdim=True)
        tensor_dict[self.output].copy_(out * x["scale_o"])


class Library:
    """The module `cudnn`."""

    data_type = SimpleNamespace(FP8_E4M3="FP8_E4M3", FLOAT="FLOAT", BFLOAT16="BFLOAT16")
    heur_mode = SimpleNamespace(A="A", FALLBACK="FALLBACK")

    def __init__(self) -> None:
        self.graphs: list[Graph] = []

    def create_handle(self) -> str:
        return "handle"

    def set_stream(self, handle, stream) -> None:
        assert (handle, stream) == ("handle", 7)

    def pygraph(self, **given) -> Graph:
        self.graphs.append(Graph(**given))
        return self.graphs[-1]


@pytest.fixture
def library(monkeypatch) -> Library:
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=7))
    return Library()


def read_of(tokens: int = 40, own: int = 8) -> tuple[torch.Tensor, EightBits]:
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, n, 3, 16, generator=generator) for n in (own, tokens, tokens))
    read = EightBits(k, 64)
    read.begin(k, v, own)
    read.write(k[:, -own:], v[:, -own:])
    return q, read


@pytest.mark.parametrize(("capability", "output"), [((9, 0), E4M3), ((10, 0), torch.bfloat16)])
def test_the_library_is_asked_for_what_is_simulated(library, capability, output):
    q, read = read_of()
    made = CudnnAttention(library, capability)(q, read)
    assert TYPES[library.graphs[0].output.data_type] == output and made.shape == q.shape and made.dtype == q.dtype
    off = (made - simulated(q, read)).norm() / made.norm()
    assert off < (1e-3 if output == E4M3 else 0.05)  # the simulation gives e4m3


def test_a_graph_is_built_once_for_each_length(library):
    kernel = CudnnAttention(library, (9, 0))
    for tokens in (40, 40, 48, 40):
        kernel(*read_of(tokens))
    assert [graph.built for graph in library.graphs] == [1, 1]


def test_signatures_are_the_librarys_own_where_it_is_installed():
    real = pytest.importorskip("cudnn").pygraph
    for name in ("tensor", "build", "execute"):
        given = set(inspect.signature(getattr(Graph, name)).parameters)
        assert given <= set(inspect.signature(getattr(real, name)).parameters) | {"self"}


def on_a_gpu(monkeypatch, capability=(9, 0)):
    """A denoiser that says it is on such a GPU, and is on the CPU."""
    monkeypatch.setattr(CausalWan, "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    real = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *shape, device=None, dtype=None: real(*shape, dtype=dtype))
    return small_pipeline()


def test_it_is_used_where_device_library_and_trial_allow_it(library, monkeypatch):
    monkeypatch.setitem(sys.modules, "cudnn", library)
    pipeline = on_a_gpu(monkeypatch)
    use_eight_bits(pipeline.denoiser)
    assert isinstance(pipeline.denoiser.eight_bits, CudnnAttention)
    assert pipeline.attention == "PyTorch, 8 bits once there is a history"


def test_elsewhere_it_is_exact_and_says_why(library, monkeypatch, caplog):
    pipeline = on_a_gpu(monkeypatch, (8, 0))
    use_eight_bits(pipeline.denoiser)
    assert pipeline.attention == "PyTorch, not in 8 bits: the GPU's compute capability is 8.0, not 9.0, 10.0, 12.0"
    monkeypatch.setitem(sys.modules, "cudnn", None)
    pipeline = on_a_gpu(monkeypatch)
    use_eight_bits(pipeline.denoiser)
    assert pipeline.attention.endswith(
        "not in 8 bits: nvidia-cudnn-frontend is not installed: pip install deepforcing[fp8]"
    )
    monkeypatch.setitem(sys.modules, "cudnn", library)
    monkeypatch.setattr(Graph, "execute", lambda self, tensors, *_, **__: tensors[self.output].zero_())
    use_eight_bits(pipeline.denoiser)
    assert pipeline.attention.endswith("not in 8 bits: its trial was off by 0.95 of the exact result")
    monkeypatch.setattr(Graph, "build", lambda *_: 1 / 0)
    use_eight_bits(pipeline.denoiser)
    assert pipeline.attention.endswith("not in 8 bits: its trial failed: division by zero")
    assert pipeline.denoiser.eight_bits is None and len(caplog.records) == 4


def test_on_a_cpu_it_is_refused_in_one_line():
    with pytest.raises(SettingsError, match=r"needs a Hopper or Blackwell GPU.*bench --attention-error") as refused:
        load_pipeline("tiny", torch.device("cpu"), Loading(attention="fp8"))
    assert "\n" not in str(refused.value)
    with pytest.raises(SettingsError, match="attention must be one of exact, fp8, not 'fp4'"):
        Loading(attention="fp4")


def test_the_command_line_asks_for_it():
    parser = argparse.ArgumentParser()
    add_loading(parser)
    assert loading_from(parser.parse_args(["--attention", "fp8"])).attention == "fp8"
    assert loading_from(parser.parse_args([])).attention == "exact"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")
@pytest.mark.parametrize("tokens", [256, 4680])
def test_on_cuda_it_is_near_exact(tokens):
    device = torch.device("cuda")
    if torch.cuda.get_device_capability(device) not in cudnn_attention.CAPABILITIES:
        pytest.skip("needs a Hopper or Blackwell GPU")
    kernel = CudnnAttention(pytest.importorskip("cudnn"), torch.cuda.get_device_capability(device))
    like = torch.zeros(1, tokens, 12, 128, device=device, dtype=torch.bfloat16)
    assert error_of_trial(kernel, like) < cudnn_attention.MOST_OFF
