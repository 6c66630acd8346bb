"""How fast the paper's CIFAR-10 network trains, and what the limit is.

Each variant runs in a process of its own, with the whole training step: batch, augmentation, both
passes, Adam, clipping.

- ours: `bnn_geometry.training.train`, as the command `train` calls it;
- plain: the same network as most public code has it, in float32, with a custom autograd.Function
  for the sign, images in NCHW layout and a DataLoader with torchvision's transforms;
- brevitas: the same with the layers of brevitas (`pip install -e .[benchmark]`; left out where it
  is not installed);
- product: a bare matrix product in the number format that ours computes in.

Images are noise of CIFAR-10's size: what they show has no influence on the time. Compilation and
the first steps are left out.

    python benchmarks/training.py [--width W] [--batch N] [--steps N] [--device cuda]

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from _machine import peak_mib, processor, versions
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from bnn_geometry import training
from bnn_geometry.data.datasets import Dataset, Provenance, Split
from bnn_geometry.training import hardware, recipes

WARM_UP = 5
"""Steps that are not counted; compilation falls into the first."""


def noise(images: int) -> Dataset:
    """A data set of CIFAR-10's shape."""
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
        return Split(pixels, torch.arange(count) % 10)

    provenance = Provenance(
        dataset="cifar10",
        source="stand-in",
        title="noise",
        detail="Random pixels.",
        path=None,
        fingerprint="",
        train_images=images,
        test_images=10,
    )
    return Dataset("noise", tuple("abcdefghij"), split(images), split(10), provenance)


class Clock:
    """Time between steps, once the device has done them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.times: list[float] = []

    def tick(self, *_: object) -> None:
        if self.device.type == "cuda" and len(self.times) % 10 == 0:
            torch.cuda.synchronize()  # now and then: each step would be a hindrance
        self.times.append(time.perf_counter())

    def rate(self, batch: int) -> float:
        """Images per second over all steps after the first ones."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            self.times[-1] = time.perf_counter()
        counted = self.times[WARM_UP:]
        return batch * (len(counted) - 1) / (counted[-1] - counted[0])


def ours(options: argparse.Namespace) -> dict[str, object]:
    device = torch.device(options.device)
    steps = WARM_UP + options.steps + 1
    recipe = recipes.FAST_CIFAR10.with_(
        width=options.width,
        epochs=1,
        batch_size=options.batch,
        # a run of this length would not be compiled, the ones that matter are
        compile="always" if hardware.can_compile() and not options.eager else "never",
    )
    clock = Clock(device)
    network = training.build_network(recipe, 0).to(device)
    done = training.train(network, noise(steps * options.batch), recipe, seed=0, on_step=clock.tick)
    return {
        "images_per_s": clock.rate(options.batch),
        "precision": done.precision,
        "compiled": done.compiled,
        "operations_per_image": 3 * hardware.forward_operations(network),
    }


class Sign(torch.autograd.Function):
    """Sign forward, gradient where the input is in [−1, 1]."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gradient = gradient.clone()
        gradient[x.abs() > 1] = 0
        return gradient


class SignModule(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Sign.apply(x)


class PlainConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, Sign.apply(self.weight), padding=self.padding)


class PlainLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, Sign.apply(self.weight))


def network_of(
    convolution: Callable[[int, int], nn.Module],
    linear: Callable[[int, int], nn.Module],
    activation: Callable[[], nn.Module],
    width: float,
) -> nn.Sequential:
    """The paper's CIFAR-10 network from other layers."""
    stages: list[nn.Module] = []
    channels = 3
    for units, pool in [
        *((128, False), (128, True), (256, False), (256, True), (512, False), (512, True)),
    ]:
        out = max(1, round(units * width))
        stages.append(convolution(channels, out))
        stages += [nn.MaxPool2d(2)] if pool else []
        stages += [nn.BatchNorm2d(out), activation()]
        channels = out
    stages.append(nn.Flatten())
    hidden = max(1, round(1024 * width))
    for inputs, outputs in ((16 * channels, hidden), (hidden, hidden), (hidden, 10)):
        stages += [linear(inputs, outputs), nn.BatchNorm1d(outputs)]
        stages += [activation()] if outputs == hidden else []
    return nn.Sequential(*stages)


class Images(torch.utils.data.Dataset):
    """Noise, one image at a time, through torchvision's transforms."""

    def __init__(self, images: int) -> None:
        from torchvision import transforms

        self.split = noise(images).train
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomCrop(32, 4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5,) * 3, (0.5,) * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.split.images[index]), int(self.split.labels[index])


def common_loop(network: nn.Module, options: argparse.Namespace) -> dict[str, object]:
    """The training loop of most public code."""
    device = torch.device(options.device)
    network = network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(
        Images((WARM_UP + options.steps + 1) * options.batch),
        batch_size=options.batch,
        shuffle=True,
        num_workers=2,
        pin_memory=device.type == "cuda",
    )
    clock = Clock(device)
    loss_of = nn.CrossEntropyLoss()
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        loss = loss_of(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    module.weight.clamp_(-1, 1)
        loss.item()  # for the progress line that such code prints
        clock.tick()
    return {"images_per_s": clock.rate(options.batch)}


def plain(options: argparse.Namespace) -> dict[str, object]:
    network = network_of(
        lambda i, o: PlainConv(i, o, 3, padding=1, bias=False),
        lambda i, o: PlainLinear(i, o, bias=False),
        SignModule,
        options.width,
    )
    return common_loop(network, options)


def brevitas(options: argparse.Namespace) -> dict[str, object]:
    from brevitas import nn as qnn
    from brevitas.quant import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst

    # a scale of 1, as here: the values are ±1
    weight = SignedBinaryWeightPerTensorConst.let(scaling_init=1.0, scaling_const=1.0)
    sign = SignedBinaryActPerTensorConst.let(scaling_init=1.0, min_val=-1.0, max_val=1.0)
    network = network_of(
        lambda i, o: qnn.QuantConv2d(i, o, 3, padding=1, bias=False, weight_quant=weight),
        lambda i, o: qnn.QuantLinear(i, o, bias=False, weight_quant=weight),
        lambda: qnn.QuantIdentity(act_quant=sign),
        options.width,
    )
    return common_loop(network, options)


def product(options: argparse.Namespace) -> dict[str, object]:
    device = torch.device(options.device)
    precision = hardware.resolve_precision("auto", device)
    n = 4096 if device.type == "cpu" else 8192
    a = torch.randn(n, n, device=device).to(getattr(torch, precision))
    best = float("inf")
    for _ in range(8):
        if device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return {"operations_per_s": 2 * n**3 / best, "precision": precision}


VARIANTS = {"ours": ours, "plain": plain, "brevitas": brevitas, "product": product}


def measure(variant: str, options: argparse.Namespace) -> dict[str, object]:
    """Run a variant in a process of its own."""
    from bnn_geometry.training.environment import ENVIRONMENT

    command = [sys.executable, __file__, "--variant", variant, "--width", str(options.width)]
    command += ["--batch", str(options.batch), "--steps", str(options.steps)]
    command += ["--device", options.device] + ["--eager"] * options.eager
    # ours as the command starts it; the others get the environment that everybody has
    environment = os.environ | (ENVIRONMENT if variant == "ours" else {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}\n{variant} failed")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print a line for each measurement, then the JSON."""
    parser = argparse.ArgumentParser(description="How fast the paper's CIFAR-10 network trains.")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--steps", type=int, default=30, help="that are counted")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--eager", action="store_true", help="do not compile ours")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        result = VARIANTS[options.variant](options)
        print(json.dumps(result | {"peak_mib": peak_mib()}))
        return
    names = [n for n in VARIANTS if n != "brevitas" or importlib.util.find_spec("brevitas")]
    found = {}
    for name in names:
        found[name] = measure(name, options)
        if "images_per_s" in found[name]:
            print(f"{name}: {found[name]['images_per_s']:.1f} images/s", flush=True)
    rate = found["ours"]["images_per_s"]
    operations = rate * found["ours"]["operations_per_image"]
    ratios = {f"over_{n}": rate / found[n]["images_per_s"] for n in names[1:-1]}
    for name, ratio in ratios.items():
        print(f"ours {name.replace('_', ' ')}: {ratio:.2f} times")
    share = operations / found["product"]["operations_per_s"]
    print(
        f"{operations / 1e9:.0f} of the {found['product']['operations_per_s'] / 1e9:.0f} GFLOP/s "
        f"of a matrix product in {found['product']['precision']}: {share:.0%}; "
        f"{found['ours']['peak_mib']:.0f} MiB at the peak"
    )
    result = {
        "benchmark": "training",
        "width": options.width,
        "batch": options.batch,
        **{name: found[name] for name in names},
        **ratios,
        "fraction_of_product": share,
        "machine": {
            "processor": torch.cuda.get_device_name() if options.device == "cuda" else processor(),
            "threads": torch.get_num_threads(),
        },
        "versions": versions("torch", "torchvision", *names[2:-1]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
