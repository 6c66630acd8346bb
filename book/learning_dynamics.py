# ---
# jupyter:
#   bnn_geometry:
#     after: [training]
#     data: [cifar10]
#   jupytext:
#     notebook_metadata_filter: bnn_geometry
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

from bnn_geometry import claims, data, dynamics, invariance, layers, plots, presets, runs, training
from bnn_geometry.notebook import glue, scientific, show

sizes = presets.preset(preset)
generator = np.random.default_rng(seed)


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def power(value):
    return scientific(value) if value else "0"


# %% [markdown]
# ## The update
#
# First, that {eq}`eq-substituted` is what automatic differentiation computes. The loss is
# $\lVert v - v^*\rVert^2/2$, the latents lie partly outside $[-1, 1]$, and the backward functions
# are the identity, as in this book's weight layers; the hard tanh, as in its activations; the
# tanh; and a matrix $A$, which no network uses, but whose Jacobian is not diagonal.

# %%
n = 50
u = generator.uniform(-2, 2, (3, n))
target = generator.uniform(-1, 1, (3, n))
matrix = generator.integers(-3, 4, (n, n)).astype(float)


def by_autograd(transform):
    leaf = torch.tensor(u, requires_grad=True)
    ((transform(leaf) - torch.tensor(target)) ** 2).sum().div(2).backward()
    return leaf.grad.numpy()


def through_weights(leaf):
    layer = layers.BinaryLinear(n, len(u)).double()
    weight = {"weight": leaf}
    identity = torch.eye(n, dtype=torch.float64)  # x·w for each unit vector x: w itself
    return torch.func.functional_call(layer, weight, (identity,)).T


def through(g):
    def transform(leaf):
        carrier = g(leaf)
        binary = torch.from_numpy(dynamics.SIGN.value(u))
        return binary + (carrier - carrier.detach())

    return transform


cases = {
    "identity (weights)": (through_weights, dynamics.IDENTITY.pull_back),
    "hard tanh (activations)": (layers.BinaryActivation(), dynamics.HARD_TANH.pull_back),
    "tanh": (through(torch.tanh), dynamics.TANH.pull_back),
    "matrix": (
        through(lambda leaf: leaf @ torch.from_numpy(matrix).T),
        lambda u, upstream: upstream @ matrix,
    ),
}
differences = {}
for name, (transform, pull_back) in cases.items():
    formula = dynamics.substituted_gradient(
        u, lambda v: dynamics.SQUARED.gradient(v, target), dynamics.SIGN.value, pull_back
    )
    differences[name] = np.abs(by_autograd(transform) - formula).max() / np.abs(formula).max()
ordinary = dynamics.substituted_gradient(
    u,
    lambda v: dynamics.SQUARED.gradient(v, target),
    dynamics.SIGN.value,
    dynamics.SIGN.pull_back,
)
exact = all(differences[name] == 0 for name in list(cases)[:2])
assert max(differences.values()) < 1e-14
claims.record("substituted-gradient", exact, preset=preset)
glue("exact", "bit for bit" if exact else "up to rounding")
glue("ordinary", int(np.count_nonzero(ordinary)))
pd.Series(
    {name: "< 1e-14" if x < 1e-14 else f"{x:.0e}" for name, x in differences.items()},
    name="largest relative difference",
).rename_axis("g").to_frame()

# %% [markdown]
# For the first two, the functions that networks use, formula and automatic differentiation agree
# {glue:text}`exact`. The ordinary gradient, with $f$ in both places, has {glue:text}`ordinary`
# entries that are not zero: a step function passes nothing back.
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
# weights are.

# %%
plane = np.array([3.0, 1.0])
plane_steps = np.full(240, 0.05)
flow = dynamics.flow(
    dynamics.COSINE, plane, [-0.83, -0.61], plane_steps, log_every=1, keep_path=True
)
figure, axes = plots.new_figure(1, 2, height=3.4, width=8.4, width_ratios=[1.3, 1])
plots.plot_flow_plane(flow, axes[0, 0], target=plane)
plots.plot_flow_angles(
    flow,
    axes[0, 1],
    lines={"bin($v^*$)": float(dynamics.angle(dynamics.SIGN.value(plane), plane))},
)
axes[0, 1].set_xlim(0, 80)
show(
    figure,
    name="fig-plane",
    caption=(
        "Flow of the scale-invariant loss in two dimensions, f = bin and g the identity, "
        f"$v^* = (3, 1)$, step size {plane_steps[0]:g}. Left: path of $u$, one dot per update; "
        f"the mean of $f(u)$ is taken over the second half of {len(plane_steps)} updates. Right: "
        "angles with $v^*$ in the first 80."
    ),
    alt=(
        "Left: u moves from the lower left to the right edge of the square and stays there, "
        "oscillating about the horizontal axis. The mean of f(u) lies on the dashed line in the "
        "direction of v*. Right: the angle of f(u) jumps for ever between two values, the lower "
        "of which is that of bin(v*)."
    ),
)

# %%
late = flow.output_angle[flow.steps >= flow.steps[-1] / 2, 0]
low, high = late.min(), late.max()
glue("plane-low", low)
glue("plane-high", high)
glue("plane-share", 100 * np.mean(late < (low + high) / 2))
glue("plane-mean", float(dynamics.angle(flow.mean_output[0], plane).round(3)))
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
flow_dimensions = sizes.flow_dimensions
largest = flow_dimensions[-1]
constant = np.full(sizes.flow_steps, step_size)
target = generator.uniform(-1, 1, (sizes.flow_seeds, largest))
start = generator.uniform(-1, 1, target.shape)
squared = dynamics.flow(dynamics.SQUARED, target, start, constant, clip=None, log_every=7)
summary = pd.DataFrame(
    {
        "bin(v*)": dynamics.angle(dynamics.SIGN.value(target), target),
        "f(u)": squared.late_mean("output_angle"),
        "f(u), expected": np.degrees(
            np.arccos(np.linalg.norm(target, axis=1) / np.sqrt(largest)),
        ),
        "average of f(u)": dynamics.angle(squared.mean_output, target),
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
rows, flows = [], {}
for n in flow_dimensions:
    target = generator.uniform(-1, 1, (sizes.flow_seeds, n))
    start = generator.uniform(-1, 1, target.shape)
    flow = dynamics.flow(dynamics.COSINE, target, start, constant, log_every=7)
    best = dynamics.angle(dynamics.SIGN.value(target), target)
    expected = dynamics.settled(target)
    excess = flow.late_mean("output_angle") - best
    assert (flow.output_angle >= best - 1e-6).all(), "nearer than the nearest binary vector"
    flows[n] = flow, target, start, best
    rows.append(
        {
            "n": n,
            "best": best.mean(),
            "output": flow.late_mean("output_angle").mean(),
            "excess": excess.mean(),
            "excess_se": standard_error(excess),
            "excess_theory": (np.degrees(np.arccos(expected.cosine[:, 0])) - best).mean(),
            "average": dynamics.angle(flow.mean_output, target).mean(),
            "moving": 100 * np.mean(np.abs(flow.mean_output) < 1 - 1e-9),
        }
    )
table = pd.DataFrame(rows)
flow, target, start, best = flows[largest]
limit = np.degrees(np.arccos(3 * (2 - np.sqrt(3))))
figure, axes = plots.new_figure(1, 2, height=3.6)
plots.plot_flow_angles(
    flow, axes[0, 0], lines={"bin($v^*$)": best[0], "expected of $f(u)$, n → ∞": limit}
)
axes[0, 0].set(title=f"one flow, n = {largest}", xlim=(0, 20 / step_size), ylim=(0, 100))
plots.plot_excess(table, axes[0, 1])
axes[0, 1].set_title(f"{sizes.flow_seeds} flows for each n")
show(
    figure,
    name="fig-excess",
    caption=(
        "Flows of the scale-invariant loss. Left: angles with $v^*$ at the beginning of one "
        "flow. Right: angle "
        "of $f(u)$ beyond that of the nearest binary vector, mean over the second half of "
        f"{sizes.flow_steps:,} updates; error bars: standard error over {sizes.flow_seeds} random "
        f"$v^*$; line: what theory expects for the same $v^*$. Step size {step_size:g}, "
        f"seed {seed}."
    ),
    alt=(
        "Left: both angles fall from near 90 degrees within about a hundred updates and stay, "
        "that of f(u) above the line of bin(v*), that of u below it. Right: the excess stays near "
        "six to seven degrees over the whole range of n, along the line of theory."
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
        "average of f(u) (°)": table["average"].round(1),
        "entries in motion (%)": table["moving"].round(0),
    }
).set_index(table["n"])

# %%
last = table.iloc[-1]
claims.record(
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
# {eq}`eq-settled` it should be {glue:text}`excess-theory:.2f`°. The limit of the angle itself is
# {glue:text}`limit:.1f`°, and {glue:text}`moving:.0f` % of the entries of $f(u)$ keep changing
# sign.
#
# The paper's $f(u) \approx v^*$ thus holds as Figure 2 of the paper does: $f(u)$ is
# {glue:text}`output:.1f`° from $v^*$, and in high dimension a random vector is nearly 90° away.
# It is those random vectors that depend on $n$; the excess hardly does. But "steady state" is not
# the word for it. What is steady is the average of $f(u)$, {glue:text}`average:.1f`° from $v^*$.
#
# ### Does the step size matter?
#
# In {eq}`eq-cosine-flow` the oscillating entries of $u$ are of size $\eta$, and only their signs
# act back. A smaller step makes the same oscillation, more slowly. A step that falls to zero may
# do something else, since it decides when the oscillation stops.

# %%
n = 100
_, target, start, best = flows[n]
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
    end = dynamics.flow(dynamics.COSINE, target, start, step_sizes, log_every=7)
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
# ## Is the difference noise?
#
# Now {eq}`eq-noise`. As an identity it is trivial: any $f(u)$ is $u$ plus a difference. It says
# something if the difference acts like noise that does not know $u$ or $v^*$. So we run the same
# flow with noise that indeed does not: Gaussian, drawn anew for every update, of the same size as
# $f(u) - u$; and without any noise.

# %%
flow, target, start, best = flows[largest]
independent = dynamics.flow(dynamics.COSINE, target, start, constant, noise=generator, log_every=7)
noiseless = dynamics.flow(
    dynamics.COSINE, target, start, constant, forward=dynamics.IDENTITY, log_every=7
)
edge = 1 + np.sqrt(2 / 3)  # u = clip(edge·v*, ±1), see the text
x = np.linspace(-1, 1, 100_001)
expected_independent = float(dynamics.angle(np.clip(edge * x, -1, 1), x))
expected_flow = dynamics.angle(dynamics.settled(target).latent, target).mean()
noise_table = pd.DataFrame(
    {
        name: {
            "u and v* (°)": f.late_mean("latent_angle").mean(),
            "s.e. (°)": standard_error(f.late_mean("latent_angle")),
            "expected (°)": expected,
            "f(u) and v* (°)": dynamics.angle(dynamics.SIGN.value(f.u), target).mean(),
            "size of f(u) − u": np.sqrt(np.mean((dynamics.SIGN.value(f.u) - f.u) ** 2)),
        }
        for name, f, expected in (
            ("the flow", flow, expected_flow),
            ("independent noise", independent, expected_independent),
            ("no noise", noiseless, 0.0),
        )
    }
).T
difference = flow.late_mean("latent_angle") - independent.late_mean("latent_angle")
claims.record(
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
# and remains so if $\mu$ is left out. We take the network of {doc}`training` and multiply the
# binary weights of every unit by its own random power of two, from 1/16 to 16. (Scaling the
# *latent* weights would test nothing, since $\mathrm{bin}$ ignores it.) Products with powers of
# two are exact in floating point, so that what changes is not rounding.

# %% tags=["nbval-ignore-output"]
cifar10 = data.load("cifar10", source=source)
run = runs.live(sizes.convnet, cifar10, seed=seed)
network = run.network()
images = training.scale_images(cifar10.test.sample(sizes.probe_images, seed).images)
factors = invariance.powers_of_two(network, 4, torch.Generator().manual_seed(seed))
NEGLIGIBLE = 1e-30
invariance_rows = []
for subtract_mean in (True, False):
    for epsilon in (None, NEGLIGIBLE):
        options = {"subtract_mean": subtract_mean, "epsilon": epsilon}
        before = invariance.class_scores(network, images, **options)
        after = invariance.class_scores(network, images, factors, **options)
        invariance_rows.append(
            {
                "mean": "subtracted" if subtract_mean else "not subtracted",
                "ε": sizes.convnet.norm_epsilon if epsilon is None else epsilon,
                "change": float((after - before).abs().max() / before.abs().max()),
                "predictions": int((after.argmax(1) != before.argmax(1)).sum()),
            }
        )
invariance_table = pd.DataFrame(invariance_rows)
negligible = invariance_table[invariance_table["ε"] == NEGLIGIBLE]
own = invariance_table[invariance_table["ε"] != NEGLIGIBLE]
assert (negligible["change"] < 1e-5).all(), "the scores depend on the scale"
for row in negligible.itertuples():
    claims.record(
        "scale-invariance",
        row.change,
        preset=preset,
        data=cifar10.provenance,
        note=f"mean {row.mean}, ε negligible",
    )
glue("images", len(images))
glue("data", cifar10.provenance.title)
glue("change", power(negligible["change"].max()))
glue("change-own", 100 * float(own["change"].max()))
glue("predictions-own", int(own["predictions"].max()))
invariance_table.assign(
    change=invariance_table["change"].map(power),
    **{"ε": invariance_table["ε"].map(power)},
).set_index(["mean", "ε"]).rename(
    columns={"change": "largest change / largest score", "predictions": "predictions changed"}
)

# %% [markdown]
# On {glue:text}`images` test images of {glue:text}`data` the scores change by a fraction of at
# most {glue:text}`change` when $\epsilon$ is negligible, with and without the mean: the paper's
# condition is not needed. At the network's own $\epsilon$ the largest change is
# {glue:text}`change-own:.2f` % of the largest score, and {glue:text}`predictions-own` predictions
# change.
#
# What remains of section 5.1 is its skeleton. The substituted gradient is exact, the scale does
# not matter, and the latents do seek an informative direction. The flow, though, does not settle
# where $f(u)$ is as near to $v^*$ as a binary vector can be; it represents $v^*$ by an average
# over time that is nearer than that.
