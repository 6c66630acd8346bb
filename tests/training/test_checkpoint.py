"""Checkpoints come back bit for bit, or a sentence names what is wrong with one."""

import json
import math
import os
import shutil

import pytest
import torch
from safetensors.torch import save_file as save

from bnn_geometry.errors import UserError
from bnn_geometry.training import checkpoint


def test_checkpoint_comes_back_bit_for_bit(tmp_path):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "a": torch.randn(3, 4, 5, 6, generator=generator).contiguous(
            memory_format=torch.channels_last
        ),
        "b": torch.tensor(7.0),
        "c": torch.randint(0, 256, (10,), dtype=torch.uint8, generator=generator),
        "d": torch.tensor([math.nan, -0.0, 1e-45]),
    }
    values = {"x": [0.1 + 0.2, 5e-324, 1e300], "y": None, "z": {"ö": 1}}
    assert checkpoint.latest(tmp_path) is None
    checkpoint.save(tmp_path, 3, tensors, values)
    found, read = checkpoint.latest(tmp_path)
    assert read == values
    assert {k: v.dtype for k, v in found.items()} == {k: v.dtype for k, v in tensors.items()}
    for name, tensor in tensors.items():
        assert torch.equal(
            found[name].flatten().view(torch.uint8), tensor.flatten().view(torch.uint8)
        )


def test_last_checkpoint_is_the_one_with_the_largest_number(tmp_path):
    for number in (9, 10, 12_345):
        checkpoint.save(tmp_path, number, {}, {"number": number})
        assert checkpoint.latest(tmp_path)[1] == {"number": number}
        assert checkpoint.latest_number(tmp_path) == number
    assert len(os.listdir(tmp_path)) == 1
    (tmp_path / "checkpoint-9999").mkdir()  # sorted as text it would come last
    assert checkpoint.latest_number(tmp_path) == 12_345
    checkpoint.remove(tmp_path)
    assert not os.listdir(tmp_path)


def test_no_room_leaves_the_one_before(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, {}, {"number": 1})
    (tmp_path / ".checkpoint-0002-killed").mkdir()  # what a kill left behind

    def full(tensors, path):
        save(tensors, path)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UserError, match=r"checkpoint-0002 could not be written: .* No space left"):
        checkpoint.save(tmp_path, 2, {}, {"number": 2})
    assert os.listdir(tmp_path) == ["checkpoint-0001"]


@pytest.fixture
def saved(tmp_path):
    checkpoint.save(tmp_path, 2, {"a": torch.arange(500.0)}, {"history": [{"loss": 1.0}]})
    return tmp_path / "checkpoint-0002"


def test_damaged_checkpoint_is_named(saved):
    for file in saved.iterdir():
        content = bytearray(file.read_bytes())
        flipped = content.copy()
        flipped[len(content) // 2] ^= 1
        for damaged in (flipped, content[: len(content) // 2], b"", None):
            if damaged is None:
                file.unlink()
            else:
                file.write_bytes(damaged)
            with pytest.raises(UserError, match="Delete the run's folder and train again") as error:
                checkpoint.latest(saved.parent)
            assert str(saved) in str(error.value)
        file.write_bytes(content)
    assert checkpoint.latest(saved.parent)[1] == {"history": [{"loss": 1.0}]}


def test_edited_checkpoint_is_refused(saved):
    values = json.loads((saved / "state.json").read_text())
    values["values"]["history"][0]["loss"] = 0.0
    (saved / "state.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="was damaged or edited"):
        checkpoint.latest(saved.parent)


def test_damaged_checkpoint_beside_the_one_before_it(saved):
    newer = saved.with_name("checkpoint-0003")
    newer.mkdir()
    (newer / "state.json").write_text("{")
    with pytest.raises(UserError, match="Delete checkpoint-0003 to go on from checkpoint-0002"):
        checkpoint.latest(saved.parent)
    shutil.rmtree(newer)
    assert checkpoint.latest(saved.parent) is not None
