# ---
# jupyter:
#   sphinx_papermill:
#     after: [training]
#     data: [cifar10]
#     runs:
#       - estimators
#       - cifar10-convnet-fast-w0.5-s1
#       - mnist-mlp-fast-w0.5-s1
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
# # Learning dynamics
#
# Why should training with two functions where there was one lead to weights whose dot products
# survive binarization? Section 5.1 of the paper {cite}`anderson2018` argues as follows. Somewhere
# in a network stands a transformer $v = f(u)$; forward we use $f$, backward another function $g$.
# If $L(v)$ is the loss as a function of the transformer's output, then $u$ moves by
#
# $$
# -\delta u_i \;\sim\; \sum_j \partial_j L\bigl(f(u)\bigr)\; \partial_i g_j(u),
# $$ (eq-substituted)
#
# which for binary weights, where $f = \mathrm{bin}$ and $g$ is the identity, becomes
# $-\delta u \sim \nabla L(f(u))$. The paper says that these dynamics are stable when there is a
# $u^*$ with $f(u^*) \approx v^*$, a minimum of $L$; that high dimension makes such a $u^*$
# relatively easy to find; that only the direction of $v^*$ matters; and that, read as
#
# $$
# -\delta u \sim \nabla L(u + \varepsilon), \qquad \varepsilon = f(u) - u ,
# $$ (eq-noise)
#
# with $\varepsilon$ as noise, they send $u$ itself to the minimum. Each of these steps can be
# tried out on losses whose minimum is known.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in
seed = 1  # of the training run and of all random numbers in this chapter
step_size = 0.02  # of the flows

# %%
import numpy as np
import pandas as pd
import torch
from scipy import optimize, stats

from bnn_geometry import data, training
from bnn_geometry.book import animation, plots, presets, records
from bnn_geometry.book.display import glue, scientific, show, width
from bnn_geometry.book.plots import dynamics as figures
from bnn_geometry.geometry import angles, flows, losses, steady_state
from bnn_geometry.networks import estimators, inference, invariance, layers, straight_through
from bnn_geometry.studies import estimators as estimator_study
from bnn_geometry.studies import tables

sizes = presets.sizes("learning_dynamics", preset)
generator = np.random.default_rng(seed)


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def power(value):
    return scientific(value) if value else "0"


# %% [markdown]
# ## The update
#
# First, that {eq}`eq-substituted` is what automatic differentiation computes. The loss is
# $\lVert v - v^*\rVert^2/2$, and the latents lie partly outside $[-1, 1]$. Forward stands bin,
# three levels or the tanh; backward the identity, as in this book's weight layers; the hard tanh,
# as in its activations; the tanh, a polynomial and a swish-like function, which others use; or a
# matrix $A$, which no network uses, but whose Jacobian is not diagonal. The last row is wrong on
# purpose: the formula with another $g$ than the one in the network.

# %%
n = 50
u = generator.uniform(-2, 2, (3, n))
target = generator.uniform(-1, 1, (3, n))
matrix = generator.integers(-3, 4, (n, n)).astype(float)
forwards = {
    "bin": straight_through.binarize,
    "three levels": lambda leaf: straight_through.ternarize(leaf, 0.5),
    "tanh": torch.tanh,
}


def by_autograd(transform):
    leaf = torch.tensor(u, requires_grad=True)
    ((transform(leaf) - torch.tensor(target)) ** 2).sum().div(2).backward()
    return leaf.grad.numpy()


def through_weights(leaf):
    layer = layers.BinaryLinear(n, len(u)).double()
    weight = {"weight": leaf}
    identity = torch.eye(n, dtype=torch.float64)  # x·w for each unit vector x: w itself
    return torch.func.functional_call(layer, weight, (identity,)).T


def through(f, g):
    def transform(leaf):
        carrier = g(leaf)
        return forwards[f](leaf).detach() + (carrier - carrier.detach())

    return transform


def by_estimator(estimator):
    return lambda u, upstream: upstream * estimator.slope(torch.from_numpy(u)).numpy()


def by_matrix(leaf):
    return leaf @ torch.from_numpy(matrix).T


activations = layers.BinaryActivation()
cases = [
    ("bin", "identity (weights)", through_weights, flows.IDENTITY.pull_back),
    ("bin", "hard tanh (activations)", activations, flows.HARD_TANH.pull_back),
    ("bin", "tanh", through("bin", torch.tanh), flows.TANH.pull_back),
    *(
        ("bin", e.name, through("bin", e.g), by_estimator(e))
        for e in (estimators.POLYNOMIAL, estimators.SWISH)
    ),
    ("bin", "matrix", through("bin", by_matrix), lambda u, upstream: upstream @ matrix),
    ("three levels", "identity", through("three levels", lambda x: x), flows.IDENTITY.pull_back),
    ("tanh", "matrix", through("tanh", by_matrix), lambda u, upstream: upstream @ matrix),
    ("tanh", "tanh", torch.tanh, flows.TANH.pull_back),
    ("bin", "hard tanh, wrong: identity", activations, flows.IDENTITY.pull_back),
]
differences = {}
for f, name, transform, pull_back in cases:
    formula = flows.substituted_gradient(
        u,
        lambda v: losses.SQUARED.gradient(v, target),
        lambda u, f=f: forwards[f](torch.from_numpy(u)).numpy(),
        pull_back,
    )
    differences[f, name] = np.abs(by_autograd(transform) - formula).max() / np.abs(formula).max()
ordinary = flows.substituted_gradient(
    u,
    lambda v: losses.SQUARED.gradient(v, target),
    flows.SIGN.value,
    flows.SIGN.pull_back,
)
*right, wrong = differences.values()
exact = all(x == 0 for x in right[:2])
assert max(right) < 1e-14
assert wrong > 0.5, "the comparison does not see a wrong g"
records.record("substituted-gradient", exact, preset=preset)
glue("exact", "bit for bit" if exact else "up to rounding")
glue("ordinary", int(np.count_nonzero(ordinary)))
pd.Series(
    {key: "< 1e-14" if x < 1e-14 else f"{x:.2f}" for key, x in differences.items()},
    name="largest relative difference",
).rename_axis(["f", "g"]).to_frame()

# %% [markdown]
# For the first two, the functions that networks use, formula and automatic differentiation agree
# {glue:text}`exact`; for the others up to rounding; and a wrong $g$ is seen. The ordinary gradient,
# with bin in both places, has {glue:text}`ordinary` entries that are not zero: a step function
# passes nothing back.
#
# ## A flow in the plane
#
# The loss that batch norm makes does not depend on the length of $v$. The simplest such loss with
# a known minimum is
#
# $$
# L(v) = n\,\bigl(1 - \cos\angle(v, v^*)\bigr),
# $$ (eq-cosine-loss)
#
# where the factor $n$ lets gradients have entries of size one in every dimension.
# {numref}`fig-plane` follows its flow for $v^* = (3, 1)$, with $u$ clipped to $[-1, 1]$ as latent
# weights are. In the plane only four binary directions can be reached, one in each quadrant, and
# the step that $u$ takes depends on nothing but the quadrant that it is in.

# %%
plane = np.array([3.0, 1.0])
starts = np.array([[-0.83, -0.61], [-0.43, 0.87], [0.71, -0.93], [-0.93, 0.35], [0.31, 0.77]])
plane_steps = np.full(240, 0.05)
flow = flows.flow(
    losses.COSINE, np.tile(plane, (5, 1)), starts, plane_steps, log_every=1, keep_path=True
)
grid = np.stack(np.meshgrid(*2 * [np.linspace(-1.2, 1.2, 9)[[0, 1, 2, 3, 5, 6, 7, 8]]]), -1)
grid = grid.reshape(-1, 2)
field = grid, -losses.COSINE.gradient(flows.SIGN.value(grid), np.tile(plane, (len(grid), 1)))
figure, axes = plots.new_figure(1, 2, height=4.6, width=8.4)
figures.plot_flow_plane(flow, axes[0, 0], target=plane, field=field)
figures.plot_flow_angles(
    flow,
    axes[0, 1],
    lines={"bin($v^*$) and $v^*$": float(angles.angle(flows.SIGN.value(plane), plane))},
)
axes[0, 1].set_xlim(0, 80)
axes[0, 1].legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize="small")
show(
    figure,
    name="fig-plane",
    caption=(
        "Flows of the scale-invariant loss in two dimensions, f = bin and g the identity, "
        f"$v^* = (3, 1)$, step size {plane_steps[0]:g}. Left: paths of $u$ from five starts, "
        "arrows for the step in each place, the four binary vectors with the one nearest to $v^*$ "
        "filled, and the mean of $f(u)$ over the second half of "
        f"{len(plane_steps)} updates. Right: angles in the first 80, from the start in the lower "
        "left."
    ),
    alt=(
        "Left: from every start u moves to the right edge of the square and stays there, "
        "oscillating about the horizontal axis. The mean of f(u) lies on the dashed line in the "
        "direction of v*. Right: the angle of f(u) jumps for ever between two values, the lower "
        "of which is that of bin(v*)."
    ),
)

# %%
animation.show(
    flows.flow(losses.COSINE, plane, starts[0], plane_steps[:120], log_every=1, keep_path=True),
    target=plane,
    name="plane-animation",
    alt=(
        "The flow from the lower left, update by update. A dot, u, moves right and up, reaches the "
        "right edge and then trembles about the horizontal axis. A ring, f(u), jumps from one "
        "corner of the square to another, and in the end for ever between the two on the right. A "
        "diamond, the average of f(u) so far, creeps to the dashed line in the direction of v*."
    ),
)

# %% [markdown]
# The animation shows one of these flows, update by update: the dot is $u$, the ring is $f(u)$, the
# diamond the average of $f(u)$ so far, the dashed line the direction of $v^*$.

# %%
late = flow.output_angle[flow.steps >= flow.steps[-1] / 2, 0]
low, high = late.min(), late.max()
glue("plane-low", low)
glue("plane-high", high)
glue("plane-share", 100 * np.mean(late < (low + high) / 2))
glue("plane-mean", float(angles.angle(flow.mean_output[0], plane).round(3)))
glue("plane-mean-1", flow.mean_output[0, 0])
glue("plane-mean-2", flow.mean_output[0, 1])
pd.Series(
    {
        "smallest angle (°)": low,
        "largest angle (°)": high,
        "mean f(u), first entry": flow.mean_output[0, 0],
        "mean f(u), second entry": flow.mean_output[0, 1],
    }
).round(2).to_frame("second half")

# %% [markdown]
# Nothing comes to rest. The first entry of $u$ goes to the clip and stays. The second reaches
# zero and crosses it again and again: at $f(u) = (1, 1) = \mathrm{bin}(v^*)$, the nearest binary
# vector, the gradient is not zero, and a step against it makes the second entry smaller. So
# $f(u)$ jumps between two vectors, {glue:text}`plane-low:.1f`° and {glue:text}`plane-high:.1f`°
# from $v^*$, and spends {glue:text}`plane-share:.0f` % of its time at the nearer one. Its
# *average* over time is ({glue:text}`plane-mean-1:.2f`, {glue:text}`plane-mean-2:.2f`), which is
# {glue:text}`plane-mean:.1f`° from $v^*$.
#
# That is general. The steady state of the paper, $\nabla L(f(u)) = 0$, does not exist unless
# $v^*$ itself is binary, up to its length. What is true of an entry of $u$ that stays within the
# clip is that its gradients *average* to zero.
#
# ## The squared distance: an average that is exact
#
# This is plainest for $L(v) = \lVert v - v^*\rVert^2/2$. Then $u$ moves by $-\eta\,(f(u) - v^*)$;
# summed over $T$ updates,
#
# $$
# \frac1T\sum_{t<T} f(u_t) \;=\; v^* - \frac{u_T - u_0}{\eta\,T},
# $$ (eq-average)
#
# and as long as $|v_i^*| \le 1$ the entries of $u$ stay bounded, so the average of $f(u)$ tends
# to $v^*$ exactly, with its length. The single vectors do not. Each entry is $+1$ a fraction
# $(1 + v_i^*)/2$ of the time, which makes the mean of $\cos\angle(f(u), v^*)$ equal to
# $\lVert v^*\rVert/\sqrt n$: for entries uniform on $[-1, 1]$ an angle of $\arccos(1/\sqrt3)$,
# far above the 30° of $\mathrm{bin}(v^*)$.

# %%
largest = sizes.flow_dimensions[-1]
constant = np.full(sizes.flow_steps, step_size)
target = generator.uniform(-1, 1, (sizes.flow_seeds, largest))
start = generator.uniform(-1, 1, target.shape)
squared = flows.flow(losses.SQUARED, target, start, constant, clip=None, log_every=7)
summary = pd.DataFrame(
    {
        "bin(v*)": angles.angle(flows.SIGN.value(target), target),
        "f(u)": squared.late_mean("output_angle"),
        "f(u), expected": np.degrees(
            np.arccos(np.linalg.norm(target, axis=1) / np.sqrt(largest)),
        ),
        "average of f(u)": angles.angle(squared.mean_output, target),
    }
)
glue("largest", largest)
glue("squared-best", summary["bin(v*)"].mean())
glue("squared-output", summary["f(u)"].mean())
glue("squared-mean", summary["average of f(u)"].mean())
summary.mean().round(1).to_frame("angle with v* (°)")

# %% [markdown]
# In {glue:text}`largest` dimensions the nearest binary vector is {glue:text}`squared-best:.1f`°
# from $v^*$, the one that the flow uses at a given time {glue:text}`squared-output:.1f`° on
# average, and the average of $f(u)$ only {glue:text}`squared-mean:.1f`°. The sequence of binary
# vectors represents $v^*$ better than any one of them could.
#
# ## The scale-invariant loss, against the dimension
#
# With the loss {eq}`eq-cosine-loss` only the direction of $v^*$ counts. Write
# $z = \sqrt n\,v^*/\lVert v^*\rVert$ and $c = \cos\angle(f(u), v^*)$; then
#
# $$
# \delta u_i = \eta\,\bigl(z_i - c\,f(u_i)\bigr).
# $$ (eq-cosine-flow)
#
# Entries with $|z_i| > c$ get the sign of $z_i$ and keep it. In the others $f(u_i)$ oscillates,
# with average $z_i/c$. In high dimension $c$ hardly varies, and this closes to one equation,
#
# $$
# c = \frac1n\sum_i \min\bigl(z_i^2/c,\; |z_i|\bigr),
# $$ (eq-settled)
#
# whose solution for uniform entries tends to $c = 3\,(2 - \sqrt3)$. {numref}`fig-excess` compares
# it with flows from random starts to random $v^*$, both with entries uniform on $[-1, 1]$.

# %%
rows, ended = [], {}
many = [(n, sizes.flow_seeds, constant) for n in sizes.flow_dimensions]
few = [(n, 2, np.full(len(constant) // 5, 5 * step_size)) for n in sizes.large_flow_dimensions]
for n, seeds, step_sizes in many + few:
    target = generator.uniform(-1, 1, (seeds, n))
    start = generator.uniform(-1, 1, target.shape)
    flow = flows.flow(losses.COSINE, target, start, step_sizes, log_every=7)
    best = angles.angle(flows.SIGN.value(target), target)
    expected = steady_state.settled(target)
    excess = flow.late_mean("output_angle") - best
    near = flow.late_mean("output_angle") < 90  # the others are still on their way
    assert (flow.output_angle >= best - 1e-6).all(), "nearer than the nearest binary vector"
    ended[n] = flow, target, start, best
    rows.append(
        {
            "n": n,
            "far": np.count_nonzero(~near),
            "best": best[near].mean(),
            "output": flow.late_mean("output_angle")[near].mean(),
            "excess": excess[near].mean(),
            "excess_se": standard_error(excess[near]),
            "excess_theory": (np.degrees(np.arccos(expected.cosine[:, 0])) - best)[near].mean(),
            "latent": flow.late_mean("latent_angle")[near].mean(),
            "turn": flow.late_mean("turn")[near].mean(),
            "average": angles.angle(flow.mean_output, target)[near].mean(),
            "moving": 100 * np.mean(np.abs(flow.mean_output[near]) < 1 - 1e-9),
        }
    )
table = pd.DataFrame(rows)
flow, target, start, best = ended[largest]
limit = np.degrees(np.arccos(3 * (2 - np.sqrt(3))))
figure, axes = plots.new_figure(1, 2, height=3.6)
figures.plot_flow_angles(
    flow, axes[0, 0], lines={"bin($v^*$) and $v^*$": best[0], "$f(u)$ and $v^*$, n → ∞": limit}
)
axes[0, 0].set(title=f"one flow, n = {largest:,}", xlim=(0, 20 / step_size), ylim=(0, 150))
axes[0, 0].legend(loc="upper right", fontsize="x-small", ncols=2)
figures.plot_excess(table, axes[0, 1])
axes[0, 1].set_title("several flows for each n")
show(
    figure,
    name="fig-excess",
    caption=(
        "Flows of the scale-invariant loss. Left: angles at the beginning of one "
        "flow. Right: angle "
        "of $f(u)$ beyond that of the nearest binary vector, mean over the second half of "
        f"{sizes.flow_steps:,} updates; error bars: standard error over {sizes.flow_seeds} random "
        f"$v^*$; line: what theory expects for the same $v^*$. Step size {step_size:g}, "
        f"seed {seed}. To save time, from n = {few[0][0]:,} on there are {few[0][1]} random $v^*$, "
        "a fifth of the updates and five times the step size."
    ),
    alt=(
        "Left: both angles with v* fall from near 90 degrees within about a hundred updates and "
        "stay, that of f(u) above the line of bin(v*), that of u below it; that of u and f(u) "
        "rises from 30 degrees and stays highest. Right: from ten dimensions on the excess stays "
        "near six to seven degrees over the whole range of n, along the line of theory."
    ),
)

# %%
pd.DataFrame(
    {
        "bin(v*) (°)": table["best"].round(1),
        "f(u) (°)": table["output"].round(1),
        "excess (°)": table["excess"].round(1),
        "s.e. (°)": table["excess_se"].round(1),
        "excess, expected (°)": table["excess_theory"].round(1),
        "u (°)": table["latent"].round(1),
        "u and f(u) (°)": table["turn"].round(1),
        "average of f(u) (°)": table["average"].round(1),
        "entries in motion (%)": table["moving"].round(0),
        "flows left out": table["far"],
    }
).set_index(table["n"])

# %%
last = table[table["n"] == largest].iloc[0]
glue("far", int(table["far"].sum()))
assert table["far"][table["n"] > 10].sum() == 0
glue("farthest", f"{table['n'].iloc[-1]:,}")
glue("farthest-excess", table["excess"].iloc[-1])
records.record(
    "steady-state",
    last["excess"],
    uncertainty=last["excess_se"],
    theory=last["excess_theory"],
    preset=preset,
    figure="fig-excess",
    note=f"n = {largest}",
)
late = flow.steps >= flow.steps[-1] / 2
reached = np.mean(flow.output_angle[late] <= best + 1e-6)
glue("reached", 100 * reached)
glue("limit", limit)
glue("excess", last["excess"])
glue("excess-se", last["excess_se"])
glue("excess-theory", last["excess_theory"])
glue("output", last["output"])
glue("average", last["average"])
glue("moving", last["moving"])

# %% [markdown]
# The flow does not find the nearest binary vector, in any dimension. In {glue:text}`largest`
# dimensions $f(u)$ is there in {glue:text}`reached:.0f` % of the updates of the second half, and
# on average {glue:text}`excess:.2f`° ± {glue:text}`excess-se:.2f`° further from $v^*$; by
# {eq}`eq-settled` it should be {glue:text}`excess-theory:.2f`°; with
# $n =$ {glue:text}`farthest` it is {glue:text}`farthest-excess:.2f`° further. The limit of the
# angle itself is {glue:text}`limit:.1f`°, and {glue:text}`moving:.0f` % of the entries of $f(u)$
# keep changing sign. (Flows that started
# opposite to $v^*$, where the loss has its maximum and hardly any slope, can still be more than a
# right angle away. Figure and table leave these out, {glue:text}`far` in all.)
#
# The paper's $f(u) \approx v^*$ thus holds as Figure 2 of the paper does: $f(u)$ is
# {glue:text}`output:.1f`° from $v^*$, and in high dimension a random vector is nearly 90° away.
# It is those random vectors that depend on $n$; the excess hardly does. But "steady state" is not
# the word for it. What is steady is the average of $f(u)$, {glue:text}`average:.1f`° from $v^*$.
#
# ### How an entry oscillates
#
# An entry that is not held moves up by $\eta(c + z_i)$ where $f(u_i) = -1$ and down by
# $\eta(c - z_i)$ where it is $+1$. As long as $c$ is constant this is a rotation: two steps that
# differ by $2\eta c$ are the same step on a circle of that length. So the entry keeps within a
# range of $2\eta c$, the same for all; it is $+1$ a fraction $(1 + z_i/c)/2$ of the time, and it
# rises through zero once in
#
# $$
# \frac{2}{1 - |z_i|/c}
# $$ (eq-period)
#
# updates on average, from every other update where $z_i = 0$ to ever more rarely towards
# $|z_i| = c$. The rotation number is in general irrational, so that the sequence of signs has no
# period in the strict sense and never repeats. {numref}`fig-oscillation` follows every entry of a
# flow after it has settled.

# %%
flow, target, start, best = ended[largest]
followed = flows.flow(
    losses.COSINE, target[:1], flow.u[:1], np.full(1000, step_size), keep_path=True
)
moved = steady_state.oscillation(followed.path[:, 0])
expected = steady_state.settled(target[:1])
size = np.abs(target[0]) / expected.threshold[0, 0]
figure, axes = plots.new_figure(1, 2, height=3.2)
figures.plot_oscillation(moved, expected, axes[0], size=size, step_size=step_size)
show(
    figure,
    name="fig-oscillation",
    caption=(
        f"Every entry of one flow in n = {largest:,} dimensions over {len(followed.steps) - 1:,} "
        "updates after it has settled, against $|v_i^*|$ over the threshold above which an entry "
        "is held. Left: mean number of updates from one rise of $u_i$ through zero to the next. "
        f"Right: range of $u_i$ in units of the step size {step_size:g}. Lines: theory."
    ),
    alt=(
        "Left: points on a curve that starts at two updates and rises without bound towards one. "
        "Right: points on a horizontal line, which ends at one; beyond it the range is zero."
    ),
)

# %% tags=["nbval-ignore-output"]
# (where a sum is rounded otherwise, an entry turns an update earlier or later)
inner = size < 0.95
edges = np.linspace(0, 1, 6)
within = np.digitize(size[size < 1], edges) - 1
spans = (moved.high - moved.low) / step_size
duty_error = np.abs(moved.duty - (1 + expected.mean_output[0]) / 2)[inner].max()
assert (np.abs(moved.period / expected.period[0] - 1)[inner] < 0.1).all()
assert duty_error < 0.02
glue("period-error", 100 * np.median(np.abs(moved.period / expected.period[0] - 1)[inner]))
glue("span", np.median(spans[inner]))
glue("span-theory", 2 * expected.reach[0, 0])
glue("duty-error", 100 * duty_error)
pd.DataFrame(
    {
        "entries": np.bincount(within),
        **{
            name: [np.median(values[size < 1][within == i]).round(2) for i in range(5)]
            for name, values in (
                ("period, measured", moved.period),
                ("expected", expected.period[0]),
                ("range / step size", spans),
            )
        },
    },
    index=pd.Index([f"{a:.1f} to {a + 0.2:.1f}" for a in edges[:-1]], name="|v*| / threshold"),
)

# %% [markdown]
# Periods agree with {eq}`eq-period` to {glue:text}`period-error:.2f` % in the median, and no entry
# is $+1$ more than {glue:text}`duty-error:.1f` % of the time more or less than it should be. The
# range is {glue:text}`span:.2f` step sizes; by the theory, {glue:text}`span-theory:.2f`. The flow
# writes each entry of $v^*$ down in unary, as the density of $+1$ in a sequence of signs.
#
# ### Does the step size matter?
#
# In {eq}`eq-cosine-flow` the oscillating entries of $u$ are of size $\eta$, and only their signs
# act back. A smaller step makes the same oscillation, more slowly. A step that falls to zero may
# do something else, since it decides when the oscillation stops.

# %%
n = 100
_, target, start, best = ended[n]
time = step_size * sizes.flow_steps
count = sizes.flow_steps
schedules = {
    "constant, ×5": np.full(count // 5, 5 * step_size),
    "constant": constant,
    "constant, ÷4": np.full(4 * count, step_size / 4),
    "linear to zero": np.linspace(2 * step_size, 0, count, endpoint=False),
    "exponential, to 1/1000": 3 * step_size * 1e-3 ** (np.arange(count) / count),
}
schedule_rows = {}
for name, step_sizes in schedules.items():
    end = flows.flow(losses.COSINE, target, start, step_sizes, log_every=7)
    second_half = end.late_mean("output_angle") - best
    final = end.output_angle[-1] - best
    schedule_rows[name] = {
        "second half (°)": second_half.mean(),
        "last update (°)": final.mean(),
        "its s.e. (°)": standard_error(final),
    }
schedule_table = pd.DataFrame(schedule_rows).T.rename_axis(f"step size, n = {n}")
constants = schedule_table["second half (°)"].iloc[:3]
glue("constant-low", constants.min())
glue("constant-high", constants.max())
glue("linear-last", schedule_table.loc["linear to zero", "last update (°)"])
glue("exponential-last", schedule_table.loc["exponential, to 1/1000", "last update (°)"])
schedule_table.round(1)

# %% [markdown]
# The table shows the excess over the nearest binary vector. For constant steps that differ by a
# factor of twenty it lies between {glue:text}`constant-low:.1f`° and
# {glue:text}`constant-high:.1f`°. A step that falls linearly to zero ends at
# {glue:text}`linear-last:.1f`°, one that falls exponentially at
# {glue:text}`exponential-last:.1f`°.
#
# ### Other losses, and no clip
#
# What was found holds beyond this loss. In each of the three below the gradient at a binary vector
# is a multiple of $\tau f(u) - v^*$: entries of $v^*$ larger than the threshold $\tau$ are held,
# the others oscillate. For the squared distance $\tau = 1$, and all oscillate. The logistic loss is
# that of a regression on Gaussian inputs $x$ of variance $1/n$ whose labels are $+1$ with
# probability $\sigma(x\cdot v^*)$. By Stein's lemma its gradient is
# $\kappa(\lVert v\rVert/\sqrt n)\,v - \kappa(\lVert v^*\rVert/\sqrt n)\,v^*$ with
# $\kappa(s) = E\,\sigma'(sZ)$, so that it, too, knows the length of $v^*$.
#
# Without a clip, the held entries of $u$ grow for ever, in proportion to $|v_i^*| - \tau$: $u$
# points in the direction of $v^*$ with all entries shrunk by the threshold. With the clip, they all
# end at $\pm1$.

# %%
n = 1000
target = generator.uniform(-1, 1, (sizes.flow_seeds, n))
start = generator.uniform(-1, 1, target.shape)
loss_rows = {}
for loss in (losses.SQUARED, losses.LOGISTIC, losses.COSINE):
    expected = steady_state.settled(target, loss)
    for clip in (1.0, None):
        end = flows.flow(loss, target, start, constant, clip=clip, log_every=7)
        if clip is None and expected.free.any():
            u = expected.free
        else:
            u = expected.draw(step_size, generator)
        loss_rows[loss.name, "yes" if clip else "no"] = {
            "entries held (%)": 100 * np.mean(expected.latent != 0),
            "f(u) and v*": end.late_mean("output_angle").mean(),
            "expected": np.degrees(np.arccos(expected.cosine)).mean(),
            "average of f(u) and v*": end.mean_output,
            "expected ": angles.angle(expected.mean_output, target).mean(),
            "u and v*": end.late_mean("latent_angle").mean(),
            "expected  ": angles.angle(u, target).mean(),
            "u and f(u)": end.late_mean("turn").mean(),
            "expected   ": angles.angle(u, flows.SIGN.value(u)).mean(),
        }
for row in loss_rows.values():
    row["average of f(u) and v*"] = angles.angle(row["average of f(u) and v*"], target).mean()
loss_table = pd.DataFrame(loss_rows).T.rename_axis(["loss", "clip"])
outputs = (loss_table["f(u) and v*"] - loss_table["expected"]).abs().max()
assert outputs < 0.5
glue("loss-n", f"{n:,}")
glue("loss-outputs", outputs)
cosine_rows = loss_table.loc[losses.COSINE.name]
glue("clip-latent", cosine_rows.loc["yes", "u and v*"])
glue("free-latent", cosine_rows.loc["no", "u and v*"])
glue("squared-latent", loss_table.loc[(losses.SQUARED.name, "yes"), "u and v*"])
glue("squared-expected", loss_table.loc[(losses.SQUARED.name, "yes"), "expected  "])
loss_table.round(1)

# %% [markdown]
# The table has angles in degrees for $n =$ {glue:text}`loss-n`. Those of $f(u)$ with $v^*$ are as
# expected to {glue:text}`loss-outputs:.1f`°, for every loss, and the clip does not matter to them:
# bin does not see the lengths that it cuts. It matters to $u$. For the scale-invariant loss the
# clipped $u$ is {glue:text}`clip-latent:.1f`° from $v^*$, the free one
# {glue:text}`free-latent:.1f`°. Where nothing is held, $u$ is as small as the step, and its angle
# with $v^*$, {glue:text}`squared-latent:.1f`° where {glue:text}`squared-expected:.1f`° are
# expected, still shows the start: the entries near the threshold drift too slowly to have arrived.
#
# ## Is the difference noise?
#
# Now {eq}`eq-noise`. As an identity it is trivial: any $f(u)$ is $u$ plus a difference. It says
# something if the difference acts like noise that does not know $u$ or $v^*$. So we run the same
# flow with noise that indeed does not: Gaussian, drawn anew for every update, of the same size as
# $f(u) - u$; and without any noise.

# %%
flow, target, start, best = ended[largest]
independent = flows.flow(losses.COSINE, target, start, constant, noise=generator, log_every=7)
noiseless = flows.flow(losses.COSINE, target, start, constant, forward=flows.IDENTITY, log_every=7)
edge = 1 + np.sqrt(2 / 3)  # u = clip(edge·v*, ±1), see the text
x = np.linspace(-1, 1, 100_001)
expected_independent = float(angles.angle(np.clip(edge * x, -1, 1), x))
expected_flow = angles.angle(steady_state.settled(target).latent, target).mean()
noise_table = pd.DataFrame(
    {
        name: {
            "u and v* (°)": f.late_mean("latent_angle").mean(),
            "s.e. (°)": standard_error(f.late_mean("latent_angle")),
            "expected (°)": expected,
            "f(u) and v* (°)": angles.angle(flows.SIGN.value(f.u), target).mean(),
            "size of f(u) − u": np.sqrt(np.mean((flows.SIGN.value(f.u) - f.u) ** 2)),
        }
        for name, f, expected in (
            ("the flow", flow, expected_flow),
            ("independent noise", independent, expected_independent),
            ("no noise", noiseless, 0.0),
        )
    }
).T
difference = flow.late_mean("latent_angle") - independent.late_mean("latent_angle")
records.record(
    "noise-model",
    noise_table.loc["the flow", "u and v* (°)"],
    uncertainty=noise_table.loc["the flow", "s.e. (°)"],
    theory=expected_flow,
    preset=preset,
    note=(
        f"n = {largest}; with independent noise of the same size "
        f"{difference.mean():.1f}° less (s.e. {standard_error(difference):.1f}°)"
    ),
)
differs = abs(difference.mean()) > 4 * standard_error(difference)
glue("latent", noise_table.loc["the flow", "u and v* (°)"])
glue("latent-independent", noise_table.loc["independent noise", "u and v* (°)"])
glue("difference", difference.mean())
glue("difference-se", standard_error(difference))
glue("place", "elsewhere" if differs else "to the same place")
glue("error-start", flow.error_cosine[0].mean())
glue("error-late", flow.late_mean("error_cosine").mean())
glue("turn", flow.late_mean("turn").mean())
noise_table.round(1)

# %% [markdown]
# In one respect the paper's picture holds: $u$ seeks the direction of $v^*$. From about 90° it
# comes to {glue:text}`latent:.1f`°, nearer than $f(u)$ ever is. Independent noise of the same
# size leads it {glue:text}`place`, {glue:text}`latent-independent:.1f`° from $v^*$. The
# difference is {glue:text}`difference:.1f`° ± {glue:text}`difference-se:.1f`°.
#
# Both places can be understood. With independent noise $u$ tends to a multiple of $v^*$, as far
# as the clip lets it, $u_i = \mathrm{clip}(a v_i^*, \pm1)$; for uniform entries the size of
# $f(u) - u$ then makes $a = 1 + \sqrt{2/3}$. The difference $f(u) - u$, however, is no noise: it
# is a function of $u$. Its cosine with $u$ is {glue:text}`error-start:.2f` at the start, and
# later {glue:text}`error-late:.2f`, when it is zero in the entries that have reached the clip and
# $\pm1$ in the ones that oscillate about zero. For a vanishing step the latents end at three
# values, $-1$, 0 and $+1$: as a *ternary* version of $v^*$ with threshold $c$. The angle of $u$
# with $f(u)$ is {glue:text}`turn:.1f`°.
#
# ### Along a training run
#
# A network is not a flow with a fixed $v^*$. What the difference is there was recorded while a
# narrow one was trained, in every layer and after every epoch: its size, its cosines with the
# latent weights and with the gradient of the loss on {glue:text}`noise-images` training images, and
# how far its entries are from a Gaussian distribution ({numref}`fig-training-noise`). The recording
# is published with the book, together with what the end of this chapter compares; this command
# makes it anew:
#
# ```bash
# bnn-geometry study estimators --work FOLDER
# ```

# %%
study = tables.published("estimators")
recipe = study.recipe
noise, layer_rows = study.tables["noise"], study.tables["layers"]
study_seeds = study.tables["errors"]["seed"].nunique()
study_of = (
    f"Convolutional network, width {width(recipe.width)}, {recipe.epochs} epochs of "
    f"{recipe.train_images:,} images of {study.data['title']}, mean over "
    f"{study_seeds} seeds. A published recording, not made by this build."
)
figure, axes = plots.new_figure(1, 3, height=3.4, width=9)
figures.plot_training_noise(noise, axes[0])
axes[0, 1].axhline(0.5, color="black", lw=1, ls=":")
axes[0, 2].axhline(0, color="black", lw=1, ls=":")
axes[0, 2].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small")
show(
    figure,
    name="fig-training-noise",
    caption=(
        "The difference ε = bin($w^c$) − $w^c$ in every layer while a network is trained. Left: "
        "root mean square of its entries. Middle: its cosine with $w^c$; dotted: uniform entries. "
        f"Right: excess kurtosis of its entries; dotted: Gaussian. {study_of}"
    ),
    alt=(
        "Three plots against the layer, with one line for the untrained network and one after each "
        "epoch: size, cosine with the latent weights and kurtosis. The table below has the first "
        "and the last of them."
    ),
)

# %%
ends = {
    label: noise[noise["epoch"] == epoch].groupby("layer", sort=False).mean(numeric_only=True)
    for label, epoch in (("untrained", 0), ("trained", noise["epoch"].max()))
}
trained = ends["trained"]
gradient_z = trained["cosine_gradient"].abs() * np.sqrt(study_seeds * trained["weights"])
glue("noise-images", 2 * study.settings["probe_images"])
glue("noise-size-low", trained["size"].min())
glue("noise-size-high", trained["size"].max())
glue("noise-latent-low", trained["cosine_latent"].min())
glue("noise-latent-high", trained["cosine_latent"].max())
glue("noise-gradient", trained["cosine_gradient"].abs().max())
glue("noise-gradient-z", gradient_z.max())
glue("noise-distance", trained["distance"].max())
while_trained = noise[noise["epoch"] > 0].groupby(["epoch", "layer"]).mean(numeric_only=True)
glue("noise-step", while_trained["step_cosine"].min())
glue("noise-epoch-low", trained["epoch_cosine"].min())
glue("noise-epoch-high", trained["epoch_cosine"].max())
pd.concat(
    {
        label: table[
            ["size", "cosine_latent", "cosine_gradient", "skewness", "kurtosis", "distance"]
        ].rename(
            columns={
                "cosine_latent": "cos with w",
                "cosine_gradient": "cos with gradient",
                "distance": "distance from Gaussian",
            }
        )
        for label, table in ends.items()
    },
    axis=1,
).round(2)

# %% [markdown]
# As noise goes, this is an odd one. It is large: entries of {glue:text}`noise-size-low:.2f` to
# {glue:text}`noise-size-high:.2f`, root mean square, where a uniform latent has $1/\sqrt3$ and its
# difference as much. It knows $u$: the cosines with the latent weights are
# {glue:text}`noise-latent-low:.2f` to {glue:text}`noise-latent-high:.2f`; for uniform entries
# exactly a half. Its entries are bounded, and their distribution is up to
# {glue:text}`noise-distance:.2f` away from a Gaussian one (the largest difference of the
# distribution functions). And it hardly changes: with the difference one step before, its cosine is
# at least {glue:text}`noise-step:.3f` in every layer, whenever it was recorded, and one epoch
# before still {glue:text}`noise-epoch-low:.2f` to {glue:text}`noise-epoch-high:.2f`, while noise
# that is drawn anew for every step has cosine zero with the last. The one thing that it shares with
# noise is that it has next to no correlation with the gradient: a cosine of at most
# {glue:text}`noise-gradient:.2f` in size, although even that is more than chance in the layers of
# few weights, by up to {glue:text}`noise-gradient-z:.1f` standard errors of independent vectors.
#
# Does that matter? The same network was trained with the paper's model taken at its word: in every
# step the layers computed with $w^c$ plus Gaussian noise, independent of $w^c$ and of the size of
# the difference, filter by filter. In the end it was binarized like any other, and its batch norm
# refitted to that.

# %%
summary = estimator_study.summarize(study)
independent_row, reference_row = summary.loc["independent noise"], summary.loc["reference"]
glue("independent-refitted", independent_row["refitted"])
glue("independent-latent", independent_row["latent"])
glue("independent-r", independent_row["r"])
glue("independent-angle", independent_row["angle"])
glue("reference-refitted", reference_row["refitted"])
glue("reference-latent", reference_row["latent"])
glue("reference-r", reference_row["r"])
glue("reference-angle", reference_row["angle"])
assert independent_row["refitted"] > reference_row["refitted"]
assert independent_row["latent"] > reference_row["latent"]
summary.loc[
    ["reference", "independent noise"], ["refitted", "refitted_sd", "latent", "r", "angle"]
].rename(
    columns={
        "refitted": "test error, binary (%)",
        "refitted_sd": "s.d. over seeds",
        "latent": "with the latent weights (%)",
        "angle": "angle of w (°)",
    }
).round(2)

# %% [markdown]
# The network does not end in the same place. Trained with independent noise and then binarized, it
# makes {glue:text}`independent-refitted:.1f` % errors, where the one that was trained binary makes
# {glue:text}`reference-refitted:.1f` %. With the latent weights in the place of the binary ones it
# is {glue:text}`independent-latent:.1f` % against {glue:text}`reference-latent:.1f` %. Noise that
# is drawn anew has to be averaged over; a difference that persists can be learned. The relation
# between the dot products comes about all the same: in the median layer $r$ is
# {glue:text}`independent-r:.2f` with the noise and {glue:text}`reference-r:.2f` without, at angles
# of {glue:text}`independent-angle:.0f`° and {glue:text}`reference-angle:.0f`°. In this the paper's
# model is right, if not in where it leads.
#
# ### Three values
#
# If training were the flow, latent weights would end at three values, $-1$, 0 and $+1$.
# {numref}`fig-piles` compares.

# %%
wide = training.published_run("cifar10-convnet-fast-w0.5-s1")
flow, target, start, best = ended[largest]
centres = np.linspace(-1, 1, 21)


def density(values):
    counts, edges = np.histogram(values, np.linspace(-1, 1, 21))
    return pd.DataFrame(
        {"left": edges[:-1], "right": edges[1:], "density": counts / (0.1 * np.size(values))}
    )


latents = {k: x.weight.detach().numpy() for k, x in layers.weight_layers(wide.network()).items()}
figure, axes = plots.new_figure(1, 2, height=3.8, sharey=True)
figures.plot_piles([("flow", density(flow.u)), ("$v^*$ of the flow", density(target))], axes[0, 0])
shown = ("conv1", "conv2", "fc1", "fc3")
figures.plot_piles([(name, density(latents[name])) for name in shown], axes[0, 1])
axes[0, 0].set_title(f"flow, n = {largest:,}")
axes[0, 1].set_title("layers of a trained network")
axes[0, 1].set_ylabel("")
show(
    figure,
    name="fig-piles",
    caption=(
        "Density of latents on a logarithmic scale; dotted: uniform, as all began. Left: $u$ after "
        f"{sizes.flow_steps:,} updates of {len(target)} flows of the scale-invariant loss. Right: "
        "latent weights of four layers of the published run, width "
        f"{width(wide.recipe.width)}, {len(wide.history)} epochs, {wide.data['title']}; not made "
        "by this build."
    ),
    alt=(
        "Left: three peaks, at minus one, zero and plus one, with next to nothing in between. "
        "Right: all four layers have peaks at both ends; only the first layer has one at zero that "
        "stands out, and the others are nearly level in between."
    ),
)


# %%
def piles(values):
    size = np.abs(values)
    middle = np.mean((size > 0.3) & (size <= 0.7)) / 0.4
    return {
        "at the ends": np.mean(size > 0.9) / 0.1 / middle,
        "at zero": np.mean(size <= 0.1) / 0.1 / middle,
    }


pile_table = pd.DataFrame({"the flow": piles(flow.u)} | {k: piles(w) for k, w in latents.items()}).T
inner = pile_table.drop(["the flow", "conv1"])
glue("pile-ends-low", inner["at the ends"].min())
glue("pile-ends-high", inner["at the ends"].max())
glue("pile-zero-low", inner["at zero"].min())
glue("pile-zero-high", inner["at zero"].max())
glue("pile-first-ends", pile_table.loc["conv1", "at the ends"])
glue("pile-first-zero", pile_table.loc["conv1", "at zero"])
pile_table.round(1).rename_axis("density over that in between")

# %% [markdown]
# Of the three piles two are there. At the ends the latent weights of the inner and last layers are
# {glue:text}`pile-ends-low:.1f` to {glue:text}`pile-ends-high:.1f` times as dense as in between; at
# zero, {glue:text}`pile-zero-low:.1f` to {glue:text}`pile-zero-high:.1f` times. Only the first
# layer has both, {glue:text}`pile-first-ends:.1f` and {glue:text}`pile-first-zero:.1f` times. What
# the flow lacks is chance: a network sees another batch at every step, and Adam makes its steps
# equally long whether the gradient is large or only noise. An entry without a clear preference may
# then wander, and be left wherever the learning rate ran out; we have not tested this.
#
# ## Scale invariance in the trained network
#
# The argument needs $L(v) = L(kv)$ for $k > 0$. The paper derives it from batch norm "without
# subtracting the mean". Multiply a unit's weight vector by $k$, and its dot products, their mean
# and their standard deviation over a batch are all multiplied by $k$:
#
# $$
# \frac{k\,x\cdot w - k\,\mu}{\sqrt{k^2\sigma^2 + \epsilon}}
#   \;=\; \frac{x\cdot w - \mu}{\sqrt{\sigma^2 + \epsilon/k^2}} ,
# $$ (eq-batch-norm)
#
# which is independent of $k$ but for the small $\epsilon$ that guards against division by zero,
# and remains so if $\mu$ is left out. The same is true with running averages in the place of $\mu$
# and $\sigma$, if they are those of the scaled dot products. We take the network of {doc}`training`
# and multiply the binary weights of every unit by a random factor of its own, from 1/16 to 16.
# (Scaling the *latent* weights would test nothing, since $\mathrm{bin}$ ignores it.) Products with
# powers of two are exact in floating point, so that what changes is not rounding; with other
# factors it may be.

# %% tags=["nbval-ignore-output"]
cifar10 = data.load("cifar10", source=source)
run = training.live_run(sizes.convnet, cifar10, seed=seed)
network = run.network()
images = cifar10.test.sample(sizes.probe_images, seed)
pixels = inference.scale_images(images.images)
draws = torch.Generator().manual_seed(seed)
NEGLIGIBLE = 1e-30
POWERS, ANY = "powers of two", "any"
all_factors = {
    POWERS: invariance.powers_of_two(network, 4, draws),
    ANY: invariance.random_factors(network, 4, draws),
}


def loss_of(scores):
    return float(torch.nn.functional.cross_entropy(scores, images.labels))


invariance_rows = []
for running in (False, True):
    for subtract_mean in (True, False):
        for epsilon in (NEGLIGIBLE, sizes.convnet.norm_epsilon):
            options = {"subtract_mean": subtract_mean, "epsilon": epsilon, "running": running}
            before = invariance.class_scores(network, pixels, **options)
            for kind, factors in all_factors.items():
                if kind == ANY and epsilon != NEGLIGIBLE:
                    continue
                after = invariance.class_scores(network, pixels, factors, **options)
                invariance_rows.append(
                    {
                        "statistics": "running" if running else "batch",
                        "mean": "subtracted" if subtract_mean else "not subtracted",
                        "ε": epsilon,
                        "factors": kind,
                        "change": float((after - before).abs().max() / before.abs().max()),
                        "predictions": int((after.argmax(1) != before.argmax(1)).sum()),
                        "loss": loss_of(before),
                        "loss_after": loss_of(after),
                    }
                )
invariance_table = pd.DataFrame(invariance_rows)
negligible = invariance_table[invariance_table["ε"] == NEGLIGIBLE]
powers = negligible[negligible["factors"] == POWERS]
own = invariance_table[invariance_table["ε"] != NEGLIGIBLE]
assert (powers["change"] < 1e-5).all(), "the scores depend on the scale"
for row in powers.itertuples():
    records.record(
        "scale-invariance",
        row.change,
        preset=preset,
        data=cifar10.provenance,
        note=f"{row.statistics} statistics, mean {row.mean}, ε negligible",
    )
glue("images", len(pixels))
glue("data", cifar10.provenance.title)
glue("change", power(powers["change"].max()))
glue("change-any", power(negligible["change"].max()))
glue("change-own", 100 * float(own["change"].max()))
glue("predictions-own", int(own["predictions"].max()))
invariance_table.assign(
    change=invariance_table["change"].map(power),
    loss=invariance_table["loss"].round(4),
    loss_after=invariance_table["loss_after"].round(4),
    **{"ε": invariance_table["ε"].map(power)},
).set_index(["statistics", "mean", "ε", "factors"]).rename(
    columns={
        "change": "largest change / largest score",
        "predictions": "predictions changed",
        "loss": "loss before",
        "loss_after": "after",
    }
)

# %% [markdown]
# On {glue:text}`images` test images of {glue:text}`data` the scores change by a fraction of at
# most {glue:text}`change` when $\epsilon$ is negligible and factors are powers of two, with the
# mean and without, with batch statistics and with running ones: the paper's condition is not
# needed. With any factors, rounding makes that {glue:text}`change-any`, since a dot product that
# lies next to the threshold may fall on either side of it. At the network's own $\epsilon$ the
# largest change is {glue:text}`change-own:.2f` % of the largest score, and at most
# {glue:text}`predictions-own` predictions change: here and there a hidden unit has another sign.
#
# ### Training without the mean subtracted
#
# Does the condition help training? The same narrow network as above was trained as the paper's
# sentence says, with batch norms that divide by the standard deviation and subtract nothing.

# %%
mean_row = summary.loc["mean not subtracted"]
glue("mean-refitted", mean_row["refitted"])
glue("mean-difference", mean_row["difference"])
glue("mean-difference-se", mean_row["difference_se"])
glue("mean-r", mean_row["r"])
summary.loc[
    ["reference", "mean not subtracted"],
    ["refitted", "refitted_sd", "difference", "difference_se", "r"],
].rename(
    columns={
        "refitted": "test error (%)",
        "refitted_sd": "s.d. over seeds",
        "difference": "difference (points)",
        "difference_se": "s.e.",
    }
).round(2)

# %% [markdown]
# It learns, to a test error of {glue:text}`mean-refitted:.1f` %, with $r =$ {glue:text}`mean-r:.2f`
# in the median layer. But it makes
# {glue:text}`mean-difference:.1f` ± {glue:text}`mean-difference-se:.1f` points more errors than the
# reference. Scale invariance is not what it lacks. The mean of a unit's dot products stays in what
# it passes on, and the shift that batch norm learns has to undo it.
#
# ## Where the relation comes from
#
# The end of the argument is that $f(u)$ and $u$, both drawn towards $v^*$, give nearly the same dot
# products. If so, the relation should not be there at the start, and should grow.
# {numref}`fig-emergence` follows the published convolutional network.

# %%
before = layer_rows[layer_rows["variant"] == "cifar10-convnet-fast-w0.5-s1"]
emergence = pd.concat([before, wide.measurements])
figure, axes = plots.new_figure(1, 2, height=3.6, width=9)
figures.plot_emergence(emergence, axes[0])
show(
    figure,
    name="fig-emergence",
    caption=(
        "Correlation of $x·w^b$ with $x·w^c$, all filters of a layer pooled, and median angle of "
        "$w^b$ with $w^c$, in every layer after each epoch; epoch 0, shaded: the same network "
        f"before training. Published run, width {width(wide.recipe.width)}, "
        f"{study.settings['probe_images']} test images of {wide.data['title']}; not made by this "
        "build."
    ),
    alt=(
        "Left: the correlations of all layers but the first jump to nearly one within the first "
        "epoch and stay there; that of the first layer rises less and then falls below its start. "
        "Right: the angles start near 30 degrees, fall in the first epoch, most of all in the "
        "first layer, and rise a little later."
    ),
)


# %%
def emerged(name):
    untrained = layer_rows[layer_rows["variant"] == name].set_index("layer")
    measured = training.published_run(name).measurements
    first = measured[measured["epoch"] == 1].set_index("layer")
    end = measured[measured["epoch"] == measured["epoch"].max()].set_index("layer")
    return pd.DataFrame(
        {
            ("r", "untrained"): untrained["r"],
            ("r", "first epoch"): first["r"],
            ("r", "last"): end["r"],
            ("angle (°)", "untrained"): untrained["angle"],
            ("angle (°)", "first epoch"): first["angle"],
            ("angle (°)", "last"): end["angle"],
            ("cos of the angle", "last"): np.cos(np.radians(end["angle"])),
        }
    )


both = pd.concat(
    {
        "convolutional": emerged("cifar10-convnet-fast-w0.5-s1"),
        "perceptron": emerged("mnist-mlp-fast-w0.5-s1"),
    },
    names=["network", "layer"],
)
conv = both.loc["convolutional"]
inner = conv.drop("conv1")
assert (inner["r", "last"] > inner["r", "untrained"]).all()
glue("r-untrained-low", inner["r", "untrained"].min())
glue("r-untrained-high", inner["r", "untrained"].max())
glue("r-first-low", inner["r", "first epoch"].min())
glue("r-last-low", inner["r", "last"].min())
glue("r-fallen", int((inner["r", "last"] < inner["r", "first epoch"]).sum()))
glue("r-inner", len(inner))
glue("r-conv1-first", conv.loc["conv1", ("r", "first epoch")])
glue("r-conv1-untrained", conv.loc["conv1", ("r", "untrained")])
glue("r-conv1-last", conv.loc["conv1", ("r", "last")])
glue("cos-high", inner["cos of the angle", "last"].max())
both.round(3)

# %% [markdown]
# In the untrained network $r$ is {glue:text}`r-untrained-low:.2f` to
# {glue:text}`r-untrained-high:.2f` beyond the first layer: about what the angle of 30° gives, its
# cosine. After one epoch it is at least {glue:text}`r-first-low:.2f`. The relation is thus learned,
# and it is learned at once. It does not go on growing: in {glue:text}`r-fallen` of these
# {glue:text}`r-inner` layers $r$ is smaller in the end than after the first epoch, if only by
# little; the smallest is {glue:text}`r-last-low:.2f`. The angle falls too, but the largest cosine
# of an angle in the end is {glue:text}`cos-high:.2f`: most of the rise comes from something else,
# directions of the inputs along which both weight vectors have learned to agree
# ({doc}`dot_products`). In the first layer, with $n = 27$, $r$ rises from
# {glue:text}`r-conv1-untrained:.2f` to {glue:text}`r-conv1-first:.2f` and then falls to
# {glue:text}`r-conv1-last:.2f`, below where it began.
#
# ## Which $g$?
#
# Nothing in the argument asks that $g$ be the identity or the hard tanh.
# {numref}`fig-variants` compares the functions that others have used: the same network from the
# same seeds on the same images, with another $g$ in the activations or in the weights. The
# polynomial is that of Bi-Real Net {cite}`liu2018`, the swish-like function that of BNN+
# {cite}`darabi2018`. Two are wrong on purpose: one passes the gradient just where the hard tanh
# cancels it, the other passes none, so that only the last layer learns.

# %%
compared = summary.drop(index=["mean not subtracted", "independent noise"])
x = torch.linspace(-1.8, 1.8, 361)
slopes = [
    (e.name, e.slope(x).numpy())
    for e in (
        estimators.IDENTITY,
        estimators.HARD_TANH,
        estimators.TANH,
        estimators.POLYNOMIAL,
        estimators.SWISH,
    )
]
figure, axes = plots.new_figure(1, 3, height=3.9, width=10, width_ratios=[1, 1, 0.8])
figures.plot_slopes(slopes, x.numpy(), axes[0, 0])
figures.plot_variants(compared, axes[0, 1:])
axes[0, 2].sharey(axes[0, 1])
axes[0, 2].tick_params(labelleft=False)
axes[0, 0].legend(loc="upper left", fontsize="x-small")
show(
    figure,
    name="fig-variants",
    caption=(
        "Left: derivatives that stand in the place of that of bin. Middle and right: test error, "
        "and median over the layers of r, of a network trained with each; dotted: the reference, "
        "with the identity in the weights and the hard tanh in the activations; bars: standard "
        f"deviation over {study_seeds} seeds. {study_of}"
    ),
    alt=(
        "Left: five curves: constant one, a box, a bell, a triangle, and a narrow high peak with "
        "negative sides. Middle and right: points with error bars for ten networks. The table "
        "below has their numbers."
    ),
)

# %%
SHAPES = ["reference", *(f"activations: {g}" for g in ("identity", "tanh", "polynomial"))]
SHAPES += ["weights: tanh", "weights: polynomial"]
near = compared.loc[SHAPES]
assert near["refitted"].max() < compared["refitted"].drop(index=SHAPES).min()
glue("near-low", near["refitted"].min())
glue("near-high", near["refitted"].max())
glue("near-se", near["difference_se"].max())
glue("near-r-low", near["r"].min())
glue("near-r-high", near["r"].max())
glue("identity-difference", compared.loc["activations: identity", "difference"])
glue("identity-se", compared.loc["activations: identity", "difference_se"])
for where in ("activations", "weights"):
    row = compared.loc[f"{where}: swish-like"]
    assert row["difference"] > 2 * row["difference_se"]
glue("swish-activations", compared.loc["activations: swish-like", "difference"])
glue("swish-activations-se", compared.loc["activations: swish-like", "difference_se"])
glue("swish-weights", compared.loc["weights: swish-like", "difference"])
glue("swish-weights-se", compared.loc["weights: swish-like", "difference_se"])
uniform = torch.linspace(-1, 1, 100_001)
glue("swish-beyond", 100 * float((estimators.SWISH.slope(uniform) < 0).double().mean()))
glue("slowed-angle", compared.loc["weights: polynomial", "angle"])
glue("usual-angle", compared.loc["reference", "angle"])
glue("outside-error", compared.loc["activations: outside alone", "refitted"])
glue("outside-r", compared.loc["activations: outside alone", "r"])
glue("nothing-error", compared.loc["activations: nothing", "refitted"])
glue("nothing-r", compared.loc["activations: nothing", "r"])
compared[["refitted", "refitted_sd", "difference", "difference_se", "r", "r_sd", "angle"]].rename(
    columns={
        "refitted": "test error (%)",
        "refitted_sd": "s.d. ",
        "difference": "difference (points)",
        "difference_se": "s.e.",
        "r_sd": "s.d.",
        "angle": "angle of w (°)",
    }
).round(2)

# %% [markdown]
# Guessing makes nine errors in ten images. Three properties show.
#
# *A gradient must pass where the sign can change.* Where none passes, and the last layer alone
# learns, the error is {glue:text}`nothing-error:.1f` %; where it passes only beyond $\pm1$,
# {glue:text}`outside-error:.1f` %.
#
# *It must not point backwards.* The swish-like function is the steepest at zero and has a negative
# slope from $|x| \approx 2.4/\beta$ on. In the activations it costs
# {glue:text}`swish-activations:.1f` ± {glue:text}`swish-activations-se:.1f` points, in the weights
# {glue:text}`swish-weights:.1f` ± {glue:text}`swish-weights-se:.1f`. In the weights one can see
# why: beyond that size a gradient that asks for a change of sign pushes a latent weight away from
# zero, and {glue:text}`swish-beyond:.0f` % of them begin there. In the activations it may as well
# be the narrow peak. BNN+ has more to it than this function, and begins with other weights.
#
# *Beyond that the shape matters little.* The identity, the hard tanh, the tanh and the polynomial
# lie between {glue:text}`near-low:.1f` and {glue:text}`near-high:.1f` %, with standard errors of
# their differences of up to {glue:text}`near-se:.1f` points. The identity, which never lets go of
# an activation, is {glue:text}`identity-difference:.1f` ± {glue:text}`identity-se:.1f` points worse
# than the hard tanh. These are few seeds of a narrow network, trained shortly with the learning
# rate that suits the hard tanh; they rank nothing within a point or two.
#
# What the shape does change is where the latent weights lie. The polynomial slows them down on
# their way to $\pm1$ and holds them there; with it the angle of the median layer is
# {glue:text}`slowed-angle:.0f`° instead of {glue:text}`usual-angle:.0f`°.
#
# And $r$ does not tell them apart. It is {glue:text}`near-r-low:.2f` to
# {glue:text}`near-r-high:.2f` for those four, and {glue:text}`outside-r:.2f` for the network that
# is nearly the worst: that binary and latent weights agree on what they see does not mean that they
# see what matters. Only where nothing is learned in the layers below does it stay at
# {glue:text}`nothing-r:.2f`, as untrained.
#
# ## What remains
#
# What remains of section 5.1 is its skeleton. The substituted gradient is exact, the scale does
# not matter, and the latents do seek an informative direction. The flow, though, does not settle
# where $f(u)$ is as near to $v^*$ as a binary vector can be; it represents $v^*$ by an average
# over time that is nearer than that. And what binarization adds to $u$ is no noise: it depends on
# $u$, it persists, and it is what makes the average exact.
#
# ## Exercises
#
# **1. One entry.** For $L(v) = (v - v^*)^2/2$ in one dimension, $|v^*| \le 1$, show that $u$ ends
# within an interval of length $2\eta$, whatever the start. For $v^* = 1/2$ and
# $\eta = 1/4$, find the period of $f(u)$ and its values.
#
# ```{dropdown} Solution 1
# Where $u > 0$ it falls by $\eta(1 - v^*)$, elsewhere it rises by $\eta(1 + v^*)$. From above it
# comes down into $(-\eta(1 - v^*), \eta(1 + v^*)]$, since it last was above zero; from below it
# comes up into the same interval, and no step leaves it. Its length is $2\eta$. For $v^* = 1/2$ the
# steps are $-1/8$ and $+3/8$: three down undo one up, and $f(u)$ is $+1, +1, +1, -1$ for ever, of
# mean {glue:text}`solution-mean:.1f` and period {glue:text}`solution-period`.
# ```

# %% tags=["hide-cell"]
one = flows.flow(losses.SQUARED, [[0.5]], [[-0.9]], np.full(400, 0.25), keep_path=True)
signs = flows.SIGN.value(one.path[200:, 0, 0])
assert (one.path[200:] > -0.125).all()
assert (one.path[200:] <= 0.375).all()
assert sorted(signs[:4]) == [-1, 1, 1, 1]
assert (signs[4:] == signs[:-4]).all()
glue("solution-mean", one.mean_output[0, 0])
glue("solution-period", int(steady_state.oscillation(one.path[200:, 0]).period[0]))

# %% [markdown]
# **2. Gaussian targets.** Solve {eq}`eq-settled` for Gaussian $v^*$ instead of uniform ones, in the
# limit of large $n$. By how much does $f(u)$ miss the nearest binary vector, and which fraction of
# its entries is held?
#
# ```{dropdown} Solution 2
# With $z$ standard normal, $E\min(z^2/c, |z|)$ is
# $\frac1c\bigl(2\Phi(c) - 1 - 2c\varphi(c)\bigr) + 2\varphi(c)$, and set equal to $c$ it gives
# $2\Phi(c) - 1 = c^2$, that is $c =$ {glue:text}`solution-cosine:.3f`, an angle of
# {glue:text}`solution-angle:.1f`°. The nearest binary vector is at
# {glue:text}`solution-best:.1f`°, so the excess is {glue:text}`solution-excess:.1f`°, more than for
# uniform entries. A fraction $2\Phi(-c) = 1 - c^2$ is held, {glue:text}`solution-held:.0f` %.
# ```

# %% tags=["hide-cell"]
gauss = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
cosine = optimize.brentq(lambda c: 2 * stats.norm.cdf(c) - 1 - c**2, 0.1, 1)
assert np.isclose(steady_state.settled(gauss).cosine[0, 0], cosine, atol=1e-5)
assert np.isclose(np.mean(steady_state.settled(gauss).latent != 0), 1 - cosine**2, atol=1e-4)
best_gauss = np.degrees(np.arccos(np.sqrt(2 / np.pi)))
glue("solution-cosine", cosine)
glue("solution-angle", np.degrees(np.arccos(cosine)))
glue("solution-best", best_gauss)
glue("solution-excess", np.degrees(np.arccos(cosine)) - best_gauss)
glue("solution-held", 100 * (1 - cosine**2))

# %% [markdown]
# **3. A backward function that goes to zero.** In the weights, let $g$ be the polynomial with
# $g'(u) = 2 - 2|u|$ on $[-1, 1]$. Where does the flow end now? Does the mean of $f(u)$ change?
#
# ```{dropdown} Solution 3
# The step of every entry is multiplied by $g'(u_i) > 0$: entries that move towards $\pm1$ slow down
# and never turn back, and the oscillating ones sit near zero, where $g' = 2$, which only makes the
# step twice as long. What is held and what the average of $f(u)$ is depends on where the mean step
# is zero, and a positive factor does not move that: the averages differ by
# {glue:text}`solution-apart:.2f`° here. (An entry that starts close to the wrong end has to wait
# long: in one flow {glue:text}`solution-wrong:.1f` % of the held entries are still on the wrong
# side.)
# ```

# %% tags=["hide-cell"]
polynomial = flows.Pointwise(
    "polynomial",
    lambda u, out=None: np.multiply(u, 2 - np.abs(u), out=out),
    lambda u: 2 - 2 * np.abs(u),
)
flow, target, start, best = ended[100]
slowed = flows.flow(
    losses.COSINE, target, start, np.full(20_000, 0.01), backward=polynomial, log_every=100
)
expected = steady_state.settled(target)
held = expected.latent != 0
apart = angles.angle(slowed.mean_output, expected.mean_output).mean()
wrong_side = np.mean(np.sign(slowed.u[held]) != expected.latent[held])
assert apart < 5
assert wrong_side < 0.02
glue("solution-apart", apart)
glue("solution-wrong", 100 * wrong_side)
