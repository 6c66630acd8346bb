# ---
# jupyter:
#   sphinx_papermill:
#     after: [theory, random_vectors, training, dot_products, learning_dynamics, pretrained, claims]
#     data: [cifar10, mnist]
#     files: [presets.toml]
#   jupytext:
#     notebook_metadata_filter: sphinx_papermill
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Reproducing this book
#
# Everything on these pages was computed by the machine that built them. This page says how, and
# on what.
#
# ## Sizes
#
# Each chapter takes its sizes from a *preset*. `smoke` runs everything once, as small as can be,
# and is what the tests use; `book` is the default; `paper` trains the networks at the paper's
# size. `BNN_PRESET=smoke jupyter-book build book/` selects one for the whole book.

# %% tags=["parameters"]
preset = "book"  # the preset whose times are shown: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in

# %%
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from bnn_geometry import data
from bnn_geometry.book import presets
from bnn_geometry.book.display import glue, width

pd.set_option("display.max_colwidth", None)  # whole sentences in tables

shown = {
    name: [presets.sizes(c, name) for c in ("random_vectors", "training", "dot_products")]
    for name in presets.NAMES
}
pd.DataFrame(
    {
        name: {
            "random vectors per histogram": f"{vectors.angle_samples:,}",
            "convolutional network: width": width(trained.convnet.width),
            "— epochs": trained.convnet.epochs,
            "— training images": "all"
            if trained.convnet.train_images is None
            else f"{trained.convnet.train_images:,}",
            "perceptron: width": width(trained.mlp.width),
            "— epochs ": trained.mlp.epochs,
            "test images probed": probed.probe_images,
        }
        for name, (vectors, trained, probed) in shown.items()
    }
)

# %% [markdown]
# ## Images
#
# The official archives are preferred, then an image folder of the same images, then *stand-ins*:
# small sets of real images that are installed with scikit-image and scikit-learn. This build
# found:

# %% tags=["nbval-ignore-output"]
found = [
    data.load("cifar10", source=source).provenance,
    data.load("mnist", source=source).provenance,
]
assert all(p.train_images > 0 and p.test_images > 0 for p in found)
pd.DataFrame(
    {
        "images": [p.title for p in found],
        "what they are": [p.detail for p in found],
        "training": [f"{p.train_images:,}" for p in found],
        "test": [f"{p.test_images:,}" for p in found],
        "fingerprint": [p.fingerprint[:12] for p in found],
    },
    index=pd.Index(data.DATASETS, name="asked for"),
)

# %% [markdown]
# A number measured on a re-encoding or on a stand-in is not a number about CIFAR-10 or MNIST, and
# the figures say which images they show. `bnn-geometry fetch` downloads the official archives and
# checks them.
#
# ## This build

# %% tags=["nbval-ignore-output"]
libraries = ("torch", "torchvision", "numpy", "scipy", "jupyter-book", "papermill")
machine = {
    "processor": f"{platform.machine()}, {os.cpu_count()} cores",
    "system": platform.system(),
    "Python": platform.python_version(),
    **{name: version(name) for name in libraries},
}
assert all(machine.values())
pd.DataFrame({"version or value": machine})

# %% tags=["nbval-ignore-output"]
budgets = presets.budgets(preset)
folder = Path(os.environ.get("BNN_EXECUTED") or f".executed/{preset}")
seconds = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))["metadata"]
    .get("sphinx_papermill", {})
    .get("seconds")
    for path in sorted(folder.glob("[!.]*.ipynb"))
}
times = pd.DataFrame({"seconds": seconds, "budget on two cores": budgets}).dropna(subset="seconds")
assert (times["seconds"] > 0).all()
glue("preset", preset)
glue("chapters", len(times))
times

# %% [markdown]
# The table shows how long the {glue:text}`chapters` chapters took to execute when they last had
# to, at preset {glue:text}`preset`, with the budget each was given. A chapter is executed again
# only when its text, its sizes, the package code that it can reach, the chapters it builds
# on, its data, or a library's version has changed.
#
# ## Bits
#
# Seeds are explicit, and the same seed on the same machine with the same libraries and the same
# number of threads gives the same bits. Another processor may round differently; training
# amplifies that, so test errors and correlations of trained networks differ slightly from machine
# to machine, while the simulations of random vectors agree to all digits shown.
#
# ## Where it was run
#
# Linux on x86-64 with Python 3.11. It was not run on macOS or Windows, though the lock file pins
# versions for both, nor on a GPU, which nothing here needs.
