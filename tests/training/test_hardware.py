"""What a machine computes quickest with: the choice follows what was measured and what is there."""

import sys

import pytest
import torch

from bnn_geometry.errors import UserError
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.training import hardware

CPU = torch.device("cpu")


@pytest.fixture
def network():
    return ConvNet(torch.Generator().manual_seed(0), width=1 / 16)


@pytest.mark.parametrize(
    ("native", "seconds", "name"),
    [
        (True, {torch.bfloat16: 0.5, torch.float32: 1.0}, "bfloat16"),
        (True, {torch.bfloat16: 1.7, torch.float32: 1.0}, "float32"),  # instructions, but slow ones
        (True, {torch.bfloat16: 0.9, torch.float32: 1.0}, "float32"),  # casting costs more
        (False, {torch.bfloat16: 0.1, torch.float32: 1.0}, "float32"),
    ],
)
def test_automatic_precision_is_the_quicker_one(monkeypatch, native, seconds, name):
    monkeypatch.setattr(hardware, "native_bfloat16", lambda device: native)
    monkeypatch.setattr(hardware, "product_seconds", lambda dtype: seconds[dtype])
    assert hardware.resolve_precision("auto", CPU) == name
    assert hardware.resolve_precision("float32", CPU) == "float32"
    assert hardware.resolve_precision("bfloat16", CPU) == "bfloat16"


def test_the_rate_of_products_is_measured_once(monkeypatch):
    hardware.product_seconds.cache_clear()
    first = hardware.product_seconds(torch.float32, n=256)
    assert 0 < first < 1
    monkeypatch.setattr(hardware.time, "perf_counter", lambda: pytest.fail("measured again"))
    assert hardware.product_seconds(torch.float32, n=256) == first


def test_unknown_precision_and_compile_are_refused(network):
    with pytest.raises(UserError, match="Unknown precision 'float16'"):
        hardware.resolve_precision("float16", CPU)
    with pytest.raises(UserError, match="Unknown compile 'yes': use auto, always or never"):
        hardware.resolve_compile("yes", network, 1)


def test_operations_of_the_forward_pass_by_hand():
    mlp = MLP(torch.Generator().manual_seed(0), width=1 / 64).train()  # 64 units
    assert hardware.forward_operations(mlp) == 2 * (784 * 64 + 64 * 64 * 2 + 64 * 10)
    assert mlp.training
    c, d = 8, 64  # width 1/16
    convolutions = (27 * c + 9 * c * c) * 1024 + (9 * c * 2 * c + 36 * c * c) * 256
    convolutions += (9 * 2 * c * 4 * c + 144 * c * c) * 64
    dense = 4 * c * 16 * d + d * d + d * 10
    network = ConvNet(torch.Generator().manual_seed(0), width=1 / 16)
    assert hardware.forward_operations(network) == 2 * (convolutions + dense)


def test_full_width_takes_the_stated_arithmetic():
    network = ConvNet(torch.Generator().manual_seed(0))
    # 0.617 G multiply-adds an image
    assert hardware.forward_operations(network) / 2e9 == pytest.approx(0.617, abs=5e-4)


def test_long_runs_are_compiled_where_that_can_be_done(monkeypatch, network):
    enough = int(hardware.COMPILE_FROM / (3 * hardware.forward_operations(network))) + 1
    monkeypatch.setattr(hardware, "can_compile", lambda: True)
    assert hardware.resolve_compile("auto", network, enough)
    assert not hardware.resolve_compile("auto", network, enough - 1)
    assert not hardware.resolve_compile("never", network, enough)
    assert hardware.resolve_compile("always", network, 1)
    monkeypatch.setattr(hardware, "can_compile", lambda: False)
    assert not hardware.resolve_compile("auto", network, enough)
    with pytest.raises(UserError, match="cannot compile the network"):
        hardware.resolve_compile("always", network, enough)


def test_without_a_compiler_nothing_is_compiled(monkeypatch, tmp_path):
    compiler = tmp_path / "no-such-compiler"
    monkeypatch.setenv("CXX", str(compiler))
    assert not hardware.can_compile()
    if sys.platform != "win32":
        compiler.touch(mode=0o755)
        monkeypatch.setattr(hardware.sysconfig, "get_path", lambda name: str(tmp_path))
        assert not hardware.can_compile()
        (tmp_path / "Python.h").touch()
        assert hardware.can_compile()
