# ---
# jupyter:
#   sphinx_papermill:
#     after:
#       - theory
#       - random_vectors
#       - training
#       - dot_products
#       - learning_dynamics
#       - pretrained
#       - one_bit_codes
#       - architectures
#       - beyond_one_bit
#       - checks
#       - probe_your_network
#     data: [cifar10, mnist]
#     files: [presets.toml]
#     runs: ["."] # all of them
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
# Two commands set up everything, on a machine with Python and `make`:
#
# ```bash
# make book    # installs into .venv what the lock file pins, and builds the book
# make test    # runs the tests, the chapters among them
# ```
#
# Two kinds of evidence go into these pages. What the {glue:text}`chapters` chapters below train and
# simulate was computed by the machine that built them. The {glue:text}`runs` *published runs*,
# networks that were trained beforehand, for {glue:text}`hours:.0f` hours in all, and what was
# measured of them come with the book; the build draws figures of them and takes numbers from them.

# %% tags=["parameters"]
preset = "book"  # the preset whose times are shown: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in

# %% [markdown]
# ## Published runs
#
# A name has model, recipe, what is changed in it (activation, weights, step), width (w) and seed
# (s). The command trains the run again; one that began in the middle of another has a comment. On
# another processor, or with another number of threads, its numbers differ a little; a run without
# weights can be checked by its history alone.

# %% tags=["full-width"]
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from bnn_geometry import data
from bnn_geometry.book import presets
from bnn_geometry.book.display import glue, table, width
from bnn_geometry.training.listing import published_runs

runs = published_runs()
glue(runs=len(runs), hours=runs["hours"].sum())
runs["trained"] = runs["threads"].astype(str) + " × " + runs["instructions"]
runs["weights"] = runs["weights"].map({True: "yes", False: "no"})
headings = {"epochs": "epochs", "test_error": "test error (%) | .1%", "hours": "hours | .1f"}
headings |= {"trained": "threads", "precision": "format", "weights": "weights"}
table(runs, headings)

# %% tags=["full-width", "remove-input"]
for command in runs["command"]:
    print(command)

# %% [markdown]
# ## Sizes
#
# Each chapter takes its sizes from a {term}`preset`. `smoke` runs everything once, as small as can
# be, and is what the tests use; `book` is the default; `paper` trains the networks at the paper's
# size. `BNN_PRESET=smoke jupyter-book build book/` selects one for the whole book. One chapter runs
# again with other parameters by `bnn-geometry run-chapter random_vectors -p samples 100000`.

# %%
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
# The official archives are preferred, then an image folder of the same images, then
# {term}`stand-ins <stand-in>`: small sets of real images that are installed with scikit-image and
# scikit-learn. A number measured on a re-encoding or on a stand-in is not a number about CIFAR-10
# or MNIST, and the figures say which images they show. `bnn-geometry fetch` downloads the official
# archives and checks them. This build found:

# %% tags=["nbval-ignore-output"]
found = [
    data.load("cifar10", source=source).provenance,
    data.load("mnist", source=source).provenance,
]
assert all(p.train_images > 0 and p.test_images > 0 for p in found)
images = pd.DataFrame(
    {
        "images": [p.title for p in found],
        "training": [p.train_images for p in found],
        "test": [p.test_images for p in found],
        "fingerprint": [p.fingerprint[:12] for p in found],
    },
    index=pd.Index(data.DATASETS, name="asked for"),
)
table(images)

# %% [markdown]
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
beside = ("claims", "index", "reproducing")  # executed together, when the others are done
folder = Path(os.environ.get("BNN_EXECUTED") or f".executed/{preset}")
seconds = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))["metadata"]
    .get("sphinx_papermill", {})
    .get("seconds")
    for path in sorted(folder.glob("[!.]*.ipynb"))
    if path.stem not in beside
}
times = pd.DataFrame({"seconds": seconds, "budget on two cores": budgets}).dropna(subset="seconds")
assert (times["seconds"] > 0).all()
over = times.index[times["seconds"] > times["budget on two cores"]]
glue(preset=preset, chapters=len(times), total=times["seconds"].sum())
glue(over=f"over theirs were {', '.join(over)}" if len(over) else "none was over its own")
table(times, ".1f")

# %% [markdown]
# The table shows how long the chapters took to execute when they last had to, at preset
# {glue:text}`preset`: {glue:text}`total:.0f` seconds, some of them side by side. Each was given a
# budget, for two quiet cores; {glue:text}`over`. A chapter is executed again only when its text,
# its sizes, the package code that it can reach, the chapters it builds on, its data, the published
# runs that it reads, a library's version, or the number of threads has changed.
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
