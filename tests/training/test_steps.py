"""A step that was recorded trains as the step itself; what cannot be recorded is told.

CUDA graphs need a GPU. Here a stand-in records: it does the work a few times, as the real one does,
and plays it by doing it again into the same tensors.
"""

import dataclasses

import pytest
import torch
from tiny import TINY, run, same_state, tiny_dataset

from bnn_geometry.training import loop, making, steps
from bnn_geometry.training.build import build_network


def record(work):
    for _ in range(steps.WARM_UP):
        work()
    outputs = tuple(x.clone() for x in work())

    def replay():
        for kept, new in zip(outputs, work(), strict=True):
            kept.copy_(new)

    return replay, outputs


@pytest.fixture
def recorded(monkeypatch):
    monkeypatch.setattr(loop, "recorder_for", lambda device, recipe: record)


def close(first, second):
    for name, value in first.network.state_dict().items():
        # the rates are float32 numbers in a tensor there, and Python's own here
        torch.testing.assert_close(
            second.network.state_dict()[name], value, atol=1e-5, rtol=0, msg=name
        )
    columns = first.history.columns.drop("seconds")
    assert (first.history[columns] - second.history[columns]).abs().max(axis=None) < 1e-4


@pytest.mark.parametrize("activation", ["binary", "hardtanh"])
def test_recorded_steps_train_the_same_network(activation, recorded, monkeypatch):
    changes = {"activation": activation, "epochs": 2, "lr": 1e-2}
    made = run("convnet", **changes)
    assert made.recorded
    monkeypatch.undo()
    plain = run("convnet", **changes)
    assert not plain.recorded
    close(plain, made)


def test_recorded_run_that_is_resumed_ends_with_the_same_bits(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(making, "CHECKPOINT_SHARE", float("inf"))
    recipe, dataset = TINY["convnet"], tiny_dataset("convnet")

    def stop(network, row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        making.make(tmp_path / "run", recipe, dataset, seed=1, on_epoch_end=stop)
    resumed = making.make(tmp_path / "run", recipe, dataset, seed=1, resume=True)
    whole = making.make(tmp_path / "whole", recipe, dataset, seed=1)
    assert resumed.info["recorded"]
    assert same_state(resumed.network(), whole.network())


def test_recording_leaves_network_and_optimizer_as_they_were():
    network = build_network(TINY["convnet"], 0).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    step = steps.plain_step(network, network, optimizer, TINY["convnet"], "float32")
    images, labels = tiny_dataset("convnet").train.images, tiny_dataset("convnet").train.labels
    step(images, labels)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    moments = [{k: v.clone() for k, v in s.items()} for s in optimizer.state.values()]
    addresses = [p.data_ptr() for p in network.parameters()]
    again = steps.recorded_step(step, network, optimizer, 40, record)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    for state, expected in zip(optimizer.state.values(), moments, strict=True):
        assert all(torch.equal(state[k], expected[k]) for k in expected)
    assert [p.data_ptr() for p in network.parameters()] == addresses
    again(images, labels)
    assert not all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_rates_in_a_tensor_are_the_rates():
    parameters = [{"params": [torch.zeros(1)], "scale": scale} for scale in (1.0, 28.0)]
    numbers, tensors = (torch.optim.Adam([dict(p) for p in parameters]) for _ in range(2))
    pair = steps.Rates(numbers, None), steps.Rates(tensors, torch.device("cpu"))
    kept = [group["lr"] for group in tensors.param_groups]
    for lr in (1e-3, 3e-7):
        for rates in pair:
            rates.set(lr)
        for group, rate in zip(numbers.param_groups, kept, strict=True):
            assert float(rate) == pytest.approx(group["lr"], rel=1e-6)
    assert all(a["lr"] is b for a, b in zip(tensors.param_groups, kept, strict=True))


@pytest.mark.parametrize("compiled", [True, False])
def test_what_cannot_be_recorded_trains_all_the_same(compiled, monkeypatch, capsys):
    tried = []

    def fail(work):
        tried.append(work())
        raise RuntimeError("no graphs today\nand more")

    monkeypatch.setattr(torch, "compile", lambda network: network)
    monkeypatch.setattr(loop, "resolve_compile", lambda *arguments: compiled)
    monkeypatch.setattr(loop, "recorder_for", lambda device, recipe: fail)
    made = run("convnet")
    said = capsys.readouterr().err
    assert said.count("a step cannot be ") == len(tried) == 1 + compiled
    assert said.count("(no graphs today): training goes on without") == 1 + compiled
    assert ("compiled and recorded here" in said) == compiled
    assert not made.recorded
    assert not made.compiled
    monkeypatch.undo()
    close(run("convnet"), made)


def test_steps_are_recorded_on_cuda_and_without_dropout_alone():
    mlp = TINY["mlp"]
    dry = dataclasses.replace(mlp, input_dropout=0.0, hidden_dropout=0.0)
    cases = [("cuda", TINY["convnet"]), ("cuda", dry), ("cuda", mlp), ("cpu", TINY["convnet"])]
    found = [steps.recorder_for(torch.device(device), recipe) for device, recipe in cases]
    assert found == [steps.cuda_graph, steps.cuda_graph, None, None]
