# ---
# jupyter:
#   sphinx_papermill:
#     data: [cifar10]
#     runs:
#       - estimators
#       - cifar10-convnet-long-w1-s1
#       - cifar10-convnet-long-w1-s1-branch
#       - cifar10-convnet-original-w0.125-s1
#       - cifar10-convnet-long-w0.125-s1
#       - cifar10-convnet-long-w0.125-s2
#       - cifar10-convnet-long-w0.125-s3
#       - cifar10-convnet-long-w0.25-s1
#       - cifar10-convnet-long-w0.25-s2
#       - cifar10-convnet-long-w0.25-s3
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
# Section 5.1 of the paper {cite}`anderson2017` argues that training moves a
# {term}`latent <latent weight>` vector $u$ until its binarization $f(u)$ is near $v^*$, a minimum
# of the loss. The update is exact ({claim}`substituted-gradient`), but $f(u)$ does not settle:
# entries of $v^*$ above a threshold get their sign and hold it, all others flip for ever, and only
# the average of their signs tells their size, as in a
# {term}`sigma–delta modulator <sigma–delta modulation>`. In {glue:text}`largest` dimensions, and
# for the kindest of three losses, $f(u)$ stays {glue:text}`excess:.1f`° further from $v^*$ than the
# nearest binary vector ({claim}`steady-state`); the *last* $f(u)$, which is what a deployed network
# uses, is {glue:text}`excess-linear:.1f`° off where the step falls linearly to zero, and no better
# than any other where it falls exponentially. The difference $f(u) - u$ does not act as noise:
# independent noise of the same size leads $u$ {glue:text}`noise-gain:.1f`° nearer to $v^*$
# ({claim}`noise-model`). The weights of the trained network of full width do not lie as these
# dynamics predict, those of narrow ones begin to, most after {glue:text}`original-epochs` epochs;
# noise in the gradients brings the flow's nearer to them, at a price in $f(u)$.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in
seed = 1  # of all random numbers in this chapter
step_size = 0.02  # of the flows

# %%
import numpy as np
import pandas as pd
import torch
from scipy import stats

from bnn_geometry import data, training
from bnn_geometry.book import animation, plots, presets, records
from bnn_geometry.book.display import Origin, glue, scientific, show, table, width
from bnn_geometry.book.plots import dynamics as figures
from bnn_geometry.book.plots.style import BLUE
from bnn_geometry.geometry import angles, flows, losses, steady_state
from bnn_geometry.networks import inference, invariance, layers
from bnn_geometry.studies import estimators as estimator_study
from bnn_geometry.studies import tables
from bnn_geometry.training import schedule

sizes = presets.sizes("learning_dynamics", preset)
generator = np.random.default_rng(seed)
n, seeds, updates = sizes.flow_dimension, sizes.flow_seeds, sizes.flow_steps
origin = Origin(
    words=f"{seeds} random $v^*$ in {n:,} dimensions, {updates:,} updates",
    preset=preset,
    seed=seed,
)


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def random_pair(n, seeds):
    """v* and the first u, entries uniform on [−1, 1]."""
    return generator.uniform(-1, 1, (seeds, n)), generator.uniform(-1, 1, (seeds, n))


# %% [markdown]
# ## The update is the gradient at the binary vector
#
# Somewhere a network turns a vector $u$ into $v = f(u)$. Forward uses $f$, backward another
# function $g$, and $u$ moves by
#
# $$
# -\delta u_i \;\sim\; \sum_j \partial_j L\bigl(f(u)\bigr)\, \partial_i g_j(u) .
# $$ (eq-substituted)
#
# For binary weights $f$ is {term}`bin` and $g$ the identity, so that $-\delta u \sim \nabla
# L(f(u))$: the {term}`straight-through estimator`.

# %%
u, target = generator.uniform(-2, 2, (2, 3, 50))


def by_autograd(transform):
    leaf = torch.tensor(u, requires_grad=True)
    ((transform(leaf) - torch.tensor(target)) ** 2).sum().div(2).backward()
    return leaf.grad.numpy()


def by_formula(g):
    slope = lambda v: losses.SQUARED.gradient(v, target)  # noqa: E731
    return flows.substituted_gradient(u, slope, flows.SIGN.value, g.pull_back)


def through_weights(leaf):
    layer = layers.BinaryLinear(u.shape[1], len(u)).double()
    units = torch.eye(u.shape[1], dtype=torch.float64)  # x·w for each unit vector x: w itself
    return torch.func.functional_call(layer, {"weight": leaf}, (units,)).T


activations = by_autograd(layers.BinaryActivation())
exact = {
    "weights, g the identity": np.array_equal(
        by_autograd(through_weights), by_formula(flows.IDENTITY)
    ),
    "activations, g the hard tanh": np.array_equal(activations, by_formula(flows.HARD_TANH)),
}
for case, equal in exact.items():
    records.record("substituted-gradient", equal, preset=preset, note=case)
assert all(exact.values())
assert not np.allclose(activations, by_formula(flows.IDENTITY)), "a wrong g is not seen"
assert not by_formula(flows.SIGN).any()

# %% [markdown]
# Automatic differentiation through the layers of this book gives {eq}`eq-substituted` bit for bit.
# The ordinary gradient, with bin in both places, is zero.
#
# ## In the plane, f(u) never comes to rest
#
# The loss that {term}`batch norm` makes does not depend on the length of $v$. The simplest such
# loss with a known minimum is
#
# $$
# L(v) = n\,\bigl(1 - \cos\angle(v, v^*)\bigr) .
# $$ (eq-cosine-loss)
#
# {numref}`fig-plane` follows it for $v^* = (3, 1)$; $u$ is clipped to $[-1, 1]$ as
# latent weights are. Only four binary directions can be reached.

# %%
plane = np.array([3.0, 1.0])
starts = np.array([[-0.83, -0.61], [-0.43, 0.87], [0.71, -0.93], [-0.93, 0.35], [0.31, 0.77]])
steps = np.full(240, 0.05)
flow = flows.flow(losses.COSINE, np.tile(plane, (5, 1)), starts, steps, keep_path=True)
grid = np.stack(np.meshgrid(*2 * [np.linspace(-1.2, 1.2, 9)[[0, 1, 2, 3, 5, 6, 7, 8]]]), -1)
grid = grid.reshape(-1, 2)
field = grid, -losses.COSINE.gradient(flows.SIGN.value(grid), np.tile(plane, (len(grid), 1)))
figure, axes = plots.new_figure(width=5.4, height=6)
figures.plot_flow_plane(flow, axes[0, 0], target=plane, field=field)
show(
    figure,
    name="fig-plane",
    caption=(
        f"Paths of $u$ from five starts, $v^* = (3, 1)$, step size {steps[0]:g}. Arrows: the step "
        "in each place. Star: mean of $f(u)$ over the second half of "
        f"{len(steps)} updates."
    ),
    alt=(
        "From every start u moves to the right edge of the square and stays there, oscillating "
        "about the horizontal axis. The mean of f(u) lies on the dashed line in the direction of "
        "v*, between two of the four binary vectors."
    ),
)

# %%
animation.show(
    flows.flow(losses.COSINE, plane, starts[0], steps[:120], keep_path=True),
    target=plane,
    name="plane-animation",
    alt=(
        "The flow from the lower left, update by update. A dot, u, moves right and up, reaches the "
        "right edge and then trembles about the horizontal axis. A ring, f(u), jumps from one "
        "corner of the square to another, and in the end for ever between the two on the right. A "
        "diamond, the average of f(u) so far, creeps to the dashed line in the direction of v*."
    ),
)

# %%
late = flow.output_angle[flow.steps >= flow.steps[-1] / 2, 0]
low, high = late.min(), late.max()
plane_mean = float(angles.angle(flow.mean_output[0], plane))
assert np.isclose(low, angles.angle(flows.SIGN.value(plane), plane))
assert high > low + 30
assert plane_mean < 0.1
glue(plane_low=low, plane_high=high, plane_share=100 * np.mean(late < (low + high) / 2))

# %% [markdown]
# In the animation the dot is $u$, the ring $f(u)$, the diamond the average of $f(u)$ so far. The
# first entry of $u$ goes to the clip and stays. The second reaches zero and crosses it again and
# again: at $(1, 1) = \mathrm{bin}(v^*)$, the nearest binary vector, the gradient is not zero, and a
# step against it makes the second entry smaller. So $f(u)$ jumps between two vectors,
# {glue:text}`plane-low:.0f`° and {glue:text}`plane-high:.0f`° from $v^*$, and spends
# {glue:text}`plane-share:.0f` % of its time at the nearer. Its average has the direction of $v^*$.
#
# The steady state of the paper, $\nabla L(f(u)) = 0$, does not exist unless $v^*$ is itself binary
# up to its length.
#
# ## Each entry is a sigma–delta modulator
#
# At a binary vector the gradient of each loss on this page has the form $s\,(\tau f(u) - v^*)$. For
# the squared distance $\lVert v - v^*\rVert^2/2$ both $s$ and $\tau$ are one. So with $a$, the step
# size times $s$, an entry moves by
#
# $$
# u_i \leftarrow u_i + a\,\bigl(v_i^* - \tau f(u_i)\bigr) .
# $$ (eq-modulator)
#
# An integrator sums the difference between an input and the fed-back output of a one-bit quantizer.
# That is first-order {term}`sigma–delta modulation`, by which converters write a voltage down as
# the density of ones in a sequence of bits {cite}`daubechies2003`.
#
# **Theorem.** *If $|v_i^*| > \tau$, $f(u_i)$ is the sign of $v_i^*$ from some update on. If
# $|v_i^*| < \tau$, $u_i$ comes into an interval of length $2a\tau$ about zero and never leaves it;
# from then on $f(u_i)$ averages over any $T$ updates to $v_i^*/\tau$, within $2/T$.*
#
# *Proof.* If $|v_i^*| > \tau$, every step has the sign of $v_i^*$ and a size of at least
# $a(|v_i^*|-\tau)$. Otherwise every step leads towards zero, by at least $a(\tau-|v_i^*|)$. One
# that sets out above zero does not end below $-a(\tau-v_i^*)$, one that sets out below it not above
# $a(\tau+v_i^*)$: no step leaves the interval between the two. Over $T$ updates {eq}`eq-modulator`
# sums to a change of $u_i$ by $aT(v_i^*-\tau\bar f)$, with the average $\bar f$ of $f(u_i)$; within
# the interval it is at most $2a\tau$. ∎
#
# The clip changes none of this as long as $a(\tau+|v_i^*|)\le1$, so that the interval lies within
# it: a held entry keeps its sign at the clip.
#
# For the scale-invariant loss $\tau = c\,\lVert v^*\rVert/\sqrt n$ with the cosine $c =
# \cos\angle(f(u), v^*)$, which moves as entries flip. In high dimension it hardly varies, and with
# $z = \sqrt n\,v^*/\lVert v^*\rVert$ this closes to one equation,
#
# $$
# c = \frac1n\sum_i \min\bigl(z_i^2/c,\; |z_i|\bigr) ,
# $$ (eq-settled)
#
# whose solution for uniform entries tends to $c = 3\,(2 - \sqrt3)$, an angle of
# {glue:text}`limit:.1f`°. The third loss of {numref}`fig-held` is that of logistic regression on
# Gaussian inputs, whose $\tau$ depends on $\lVert v^*\rVert$ alone.

# %%
LOSSES = (losses.COSINE, losses.LOGISTIC, losses.SQUARED)
share = np.arange(updates) / updates
SCHEDULES = {  # step sizes, and the power of the updates to go with which they end
    "constant": (np.full(updates, step_size), 0),
    "exponential, to 1/1000": (3 * step_size * 1e-3**share, 0),
    "linear to zero": (2 * step_size * (1 - share), 1),
    "cosine to zero": (step_size * (1 + np.cos(np.pi * share)), 2),
}
target, start = random_pair(n, seeds)
# an entry of the squared distance moves by the step times 1 − |v*| or less where its sign is right:
# large ones would not arrive
starts_at = {loss.name: 0.02 * start if loss is losses.SQUARED else start for loss in LOSSES}
nearest = angles.angle(flows.SIGN.value(target), target)
ended = {
    (loss.name, name): flows.flow(loss, target, starts_at[loss.name], steps, log_every=7)
    for loss in LOSSES
    for name, (steps, _) in SCHEDULES.items()
}
settled = {loss.name: steady_state.settled(target, loss) for loss in LOSSES}
shown = np.argsort(target[0])[:: n // 40]
x = target[0, shown]
figure, axes = plots.new_figure(width=5.8, height=4)
plots.series(
    {k: pd.Series(ended[k, "constant"].mean_output[0, shown], x) for k in settled},
    axes[0, 0],
    theory={k: pd.Series(v.mean_output[0, shown], x) for k, v in settled.items()},
)
axes[0, 0].set(xlabel="entry of $v^*$", ylabel="average of $f(u_i)$ over time")
axes[0, 0].legend()
show(
    figure,
    name="fig-held",
    caption=(
        "Average of $f(u_i)$ over the second half of a flow against the entry of $v^*$, for three "
        "losses. Lines: theory, $v_i^*/\\tau$ cut at $\\pm1$. Flat: entries that are held. Every "
        f"{n // 40}th entry of one flow."
    ),
    origin=origin,
    alt=(
        "Three ramps through the origin that end at minus one and plus one. That of the "
        "scale-invariant loss is the steepest and flat beyond half the range, that of the squared "
        "distance rises over the whole range. The points lie on the lines."
    ),
)

# %%
off = {k: np.abs(ended[k, "constant"].mean_output - v.mean_output) for k, v in settled.items()}
held = {k: np.mean(v.latent != 0) for k, v in settled.items()}
averages = {k: angles.angle(ended[k, "constant"].mean_output, target).mean() for k in settled}
assert max(x.mean() for x in off.values()) < 0.02
assert held[losses.COSINE.name] > 0.4
assert held[losses.SQUARED.name] == 0
assert held[losses.LOGISTIC.name] < 0.2
assert averages[losses.SQUARED.name] < 1 < averages[losses.COSINE.name]
glue(limit=np.degrees(np.arccos(3 * (2 - np.sqrt(3)))), held=100 * held[losses.COSINE.name])
glue(average=averages[losses.COSINE.name], average_squared=averages[losses.SQUARED.name])

# %% [markdown]
# For the squared distance nothing is held, and the average of $f(u)$ is $v^*$ itself, to
# {glue:text}`average-squared:.1f`°. For the scale-invariant loss {glue:text}`held:.0f` % of the
# entries are held and lose their sizes: the average is {glue:text}`average:.1f`° from $v^*$.
#
# ## High dimension does not bring f(u) nearer
#
# {numref}`fig-excess` shows how much further $f(u)$ is from $v^*$ than the nearest binary vector,
# which is some 30° away.

# %%
rows, underway = [], {}
for dimension in (*sizes.flow_dimensions, n, *sizes.large_flow_dimensions):
    goal, begin = (target, start) if dimension == n else random_pair(dimension, seeds)
    coarse = 5 if dimension > n else 1  # to save time: as much longer steps
    if coarse > 1:
        goal, begin = goal[:2], begin[:2]
    best = angles.angle(flows.SIGN.value(goal), goal)
    row = {"n": dimension}
    for name in ("constant", "linear to zero"):
        steps, power = SCHEDULES[name]
        found = flows.flow(losses.COSINE, goal, begin, coarse * steps[::coarse], log_every=7)
        outputs = found.late_mean("output_angle") if power == 0 else found.output_angle[-1]
        near = found.late_mean("output_angle") < 90  # the others are still on their way
        underway[dimension, name] = int((~near).sum())
        excess = (outputs - best)[near]
        theory = np.degrees(np.arccos(steady_state.last_cosine(goal, power)[:, 0])) - best
        se = standard_error(excess) if near.sum() > 2 else np.nan
        row |= {name: excess.mean(), f"{name}, se": se}
        row |= {f"{name}, theory": theory.mean()}
        if power == 0:
            late = found.output_angle[found.steps >= found.steps[-1] / 2][:, near]
            row["there"] = np.mean(late <= best[near] + 1e-6)
    rows.append(row)
    for name, of in (("constant", "any time"), ("linear to zero", "last iterate")):
        if of == "last iterate" and dimension == n:  # stands in the table below
            continue
        records.record(
            "steady-state",
            row[name],
            uncertainty=None if np.isnan(row[f"{name}, se"]) else row[f"{name}, se"],
            null=90 - best.mean(),
            against="a random binary vector",
            preset=preset,
            figure="fig-excess",
            note=f"loss {losses.COSINE.name}, {of}, step {name}, n = {dimension:,}",
        )
by_dimension = pd.DataFrame(rows).set_index("n")
left_out = {k: v for k, v in underway.items() if v}
assert all(dimension < 10 for dimension, _ in left_out)
less = f", without {sum(left_out.values())} still on their way" if left_out else ""
LABELS = {"constant": "constant step, any time", "linear to zero": "step falls linearly, the last"}
figure, axes = plots.new_figure(width=5.8, height=4)
high = by_dimension[by_dimension.index >= 100]
plots.series(
    {label: by_dimension[[k, f"{k}, se"]] for k, label in LABELS.items()},
    axes[0, 0],
    theory={label: high[f"{k}, theory"] for k, label in LABELS.items()},
)
axes[0, 0].set(xscale="log", xlabel="dimension n", ylabel="excess angle of $f(u)$ (degrees)")
axes[0, 0].set_ylim(bottom=0)
axes[0, 0].legend()
show(
    figure,
    name="fig-excess",
    caption=(
        "Angle of $f(u)$ with $v^*$ beyond that of the nearest binary vector, scale-invariant "
        "loss. Circles: mean over the second half of a flow with constant steps; squares: the last "
        "$f(u)$ where the step falls linearly to zero. Error bars: standard error over "
        f"{seeds} random $v^*${less}; beyond {n:,} dimensions there are two, and no bars. Lines: "
        "theory of high dimension, for the same $v^*$."
    ),
    origin=origin.but(words=f"{updates:,} updates"),
    alt=(
        "Two curves against n on a logarithmic axis. From a hundred dimensions on the upper one is "
        "level at six to seven degrees, on the line of theory. The lower one is on its line, at "
        "two to three degrees, from a thousand on."
    ),
)

# %%
level = by_dimension["constant"][by_dimension.index >= 100]
assert level.max() - level.min() < 1
assert by_dimension.loc[100:, "there"].max() < 0.02
glue(largest=f"{n:,}", excess=by_dimension.loc[n, "constant"])
glue(farthest=f"{by_dimension.index[-1]:,}", farthest_excess=by_dimension["constant"].iloc[-1])
glue(there_two=100 * by_dimension["there"].iloc[0])

# %% [markdown]
# In two dimensions $f(u)$, where it comes near at all, is at the nearest binary vector
# {glue:text}`there-two:.0f` % of the time, from a hundred on hardly ever. The excess is
# {glue:text}`excess:.1f`° in {glue:text}`largest` dimensions and {glue:text}`farthest-excess:.1f`°
# in {glue:text}`farthest`. So $f(u) \approx v^*$ is meant in comparison with *random* vectors,
# which high dimension moves to 90°.
#
# ## What is deployed is the last iterate
#
# Nobody deploys an average over time of binary vectors; what is kept is $f(u_T)$. Were the step
# constant, it would be as good as at any other time. What helps is how the step ends. With $k$
# updates to go let it be proportional to $k^p$: constant for $p = 0$, linear for $p = 1$, a cosine
# schedule for $p = 2$. The larger steps come first and get the sign right; those after them are too
# small to undo it. A step that falls exponentially shrinks by the same tiny factor in every update
# up to the last, and the modulator does not notice. The table gives the excess of the last
# $f(u_T)$; *expected* follows each entry as a modulator of its own.

# %%
ROWS = {}
for name, (_, power) in SCHEDULES.items():
    ROWS[name] = {}
    for loss in LOSSES:
        found = ended[loss.name, name].output_angle[-1] - nearest
        law = steady_state.last_cosine(target, power, loss)[:, 0]
        theory = (np.degrees(np.arccos(law)) - nearest).mean()
        ROWS[name] |= {(loss.name, "last"): found.mean(), (loss.name, "expected"): theory}
        records.record(
            "steady-state",
            found.mean(),
            uncertainty=standard_error(found),
            theory=theory,
            null=90 - nearest.mean(),
            against="a random binary vector",
            preset=preset,
            figure="fig-excess" if loss is losses.COSINE else None,
            note=f"loss {loss.name}, last iterate, step {name}, n = {n:,}",
        )
last = pd.DataFrame(ROWS).T.rename_axis("step size")
for loss in LOSSES:
    measured, expected = (last[loss.name, column] for column in ("last", "expected"))
    assert (measured - expected).abs().max() < 1 + 0.05 * expected.max()
    assert measured["linear to zero"] < 0.6 * measured["constant"]
    assert measured["cosine to zero"] < 0.75 * measured["linear to zero"]
    assert measured["exponential, to 1/1000"] > 0.8 * measured["constant"]
cosine_last = last[losses.COSINE.name, "last"]
for worse in (losses.SQUARED, losses.LOGISTIC):
    assert (last[worse.name, "last"] > 2 * cosine_last).all()
glue(excess_linear=cosine_last["linear to zero"], excess_cosine=cosine_last["cosine to zero"])
glue(excess_exponential=cosine_last["exponential, to 1/1000"])
glue(excess_squared=last[losses.SQUARED.name, "last"]["constant"])
table(last, ".1f")

# %% [markdown]
# For the scale-invariant loss a linear fall leaves {glue:text}`excess-linear:.1f`° and a cosine
# {glue:text}`excess-cosine:.1f`°; an exponential fall, which the original recipe has, leaves
# {glue:text}`excess-exponential:.1f`°. The other losses are worse by far:
# {glue:text}`excess-squared:.0f`° at a constant step for the squared distance, which holds nothing.
#
# ## The difference is no noise
#
# The paper reads the update as
#
# $$
# -\delta u \sim \nabla L(u + \varepsilon), \qquad \varepsilon = f(u) - u ,
# $$ (eq-noise)
#
# with $\varepsilon$ as noise. As an identity this is trivial. It says something if $\varepsilon$
# acts like noise that knows nothing of $u$. So we run the same flow with Gaussian noise, drawn anew
# for each update: once of the size of $f(u) - u$ at its own current $u$, once of the size that
# $f(u) - u$ has in the flow without noise; and with stochastic rounding {cite}`courbariaux2015`,
# which takes $+1$ with probability $(1 + u)/2$ and whose error averages to zero for every $u$.

# %%
NOISES = {
    "the flow": (lambda size: flows.SIGN, None),
    "independent noise, as large as its own f(u) − u": (
        lambda size: flows.with_noise(generator),
        lambda u, size: np.mean((1 - np.abs(u)) ** 2, axis=1, keepdims=True),
    ),
    "independent noise, as large as in the flow": (
        lambda size: flows.with_noise(generator, size),
        lambda u, size: size**2,
    ),
    "stochastic rounding": (
        lambda size: flows.stochastic_bin(generator),
        lambda u, size: np.mean(1 - u**2, axis=1, keepdims=True),
    ),
}
constant, found = SCHEDULES["constant"][0], {}
for loss in LOSSES:
    found[loss.name, "the flow"] = usual = ended[loss.name, "constant"]
    size = float(usual.late_mean("error_size").mean())
    for name, (make, _) in list(NOISES.items())[1 : 4 if loss is losses.COSINE else 3]:
        found[loss.name, name] = flows.flow(
            loss, target, starts_at[loss.name], constant, forward=make(size), log_every=7
        )
cosine_size = float(found[losses.COSINE.name, "the flow"].late_mean("error_size").mean())
noise_rows = {}
for name, (_, variance) in NOISES.items():
    at = found[losses.COSINE.name, name]
    law = (
        settled[losses.COSINE.name].latent
        if variance is None
        else steady_state.latent_with_noise(target, lambda u, v=variance: v(u, cosine_size))
    )
    noise_rows[name] = {
        "size": at.late_mean("error_size").mean(),
        "angle": at.late_mean("latent_angle").mean(),
        "expected": angles.angle(law, target).mean(),
        "excess": (angles.angle(flows.SIGN.value(at.u), target) - nearest).mean(),
    }
noise_table = pd.DataFrame(noise_rows).T
labels = {"the flow": "o", "independent noise, as large as in the flow": "s"}
figure, axes = plots.new_figure(len(labels), 1, width=5.4, height=6.4, sharex=True)
for ax, name in zip(axes[:, 0], labels, strict=True):
    entries = found[losses.COSINE.name, name].u[0]
    ax.plot(target[0], entries, labels[name], ms=3, color=BLUE)
    ax.set(title=name, ylabel="$u_i$ at the end")
axes[-1, 0].set_xlabel("entry of $v^*$")
show(
    figure,
    name="fig-noise",
    caption=(
        "Where each entry of $u$ ends, against the entry of $v^*$, scale-invariant loss. Top: the "
        "flow. Bottom: Gaussian noise of the same size, independent of $u$, in the place of "
        "$f(u) - u$. One flow each."
    ),
    origin=origin,
    alt=(
        "Top: three levels, minus one, zero and plus one, with jumps at plus and minus one half. "
        "Bottom: a ramp through the origin, blurred, which is cut at minus one and plus one."
    ),
)

# %%
gaps = {}
for (loss, name), at in found.items():
    if not name.startswith("independent"):
        continue
    own = found[loss, "the flow"].late_mean("latent_angle")
    other = at.late_mean("latent_angle")
    records.record(
        "noise-model",
        own.mean(),
        uncertainty=standard_error(own - other),
        null=other.mean(),
        against=name,
        preset=preset,
        figure="fig-noise" if loss == losses.COSINE.name else None,
        note=f"loss {loss}, n = {n:,}",
    )
    gaps[loss] = min(own.mean() - other.mean(), gaps.get(loss, 90))
assert min(gaps.values()) > 3
late = pd.DataFrame(
    {
        loss.name: {
            k: found[loss.name, "the flow"].late_mean(f"{k}_angle").mean()
            for k in ("latent", "output")
        }
        for loss in LOSSES
    }
)
nearer = late.columns[late.loc["latent"] < late.loc["output"]]
assert list(nearer) == [losses.COSINE.name, losses.SQUARED.name]
assert late.loc["latent", losses.COSINE.name] < nearest.mean()
assert abs(late.loc["latent", losses.SQUARED.name] - 45) < 2  # u/a is v* and a uniform number
glue(latent_squared=late.loc["latent", losses.SQUARED.name])
glue(latent_logistic=late.loc["latent", losses.LOGISTIC.name])
glue(output_logistic=late.loc["output", losses.LOGISTIC.name])
at_own, at_same = noise_table["angle"].iloc[1:3]
assert (noise_table["angle"] - noise_table["expected"]).abs().max() < 1.5
assert 0.4 < (at_same - at_own) / (noise_table["angle"].iloc[0] - at_own) < 0.65
assert noise_table["excess"].iloc[1:].max() < 1 < noise_table["excess"].iloc[0]
glue(latent=noise_table["angle"].iloc[0], noise_same=at_same, noise_own=at_own)
glue(noise_gain=noise_table["angle"].iloc[0] - at_same)
glue(noise_others=min(gap for loss, gap in gaps.items() if loss != losses.COSINE.name))
glue(noise_excess=noise_table["excess"].iloc[1:].max())
table(
    noise_table,
    {
        "size": "size of ε | .2f",
        "angle": "∠(u, v*), ° | .1f",
        "expected": "expected | .1f",
        "excess": "excess of bin(u), ° | .1f",
    },
)

# %% [markdown]
# In one respect the paper is right, of two losses in three: $u$ comes nearer to $v^*$ than $f(u)$
# does, to {glue:text}`latent:.1f`° for the scale-invariant one and {glue:text}`latent-squared:.0f`°
# for the squared distance. For the logistic one it ends further away, at
# {glue:text}`latent-logistic:.0f`° where $f(u)$ is at {glue:text}`output-logistic:.0f`°. And
# independent noise leads elsewhere: if it is as large as $f(u) - u$ is in the
# flow, to {glue:text}`noise-same:.1f`°. (Noise as large as $f(u) - u$ at the $u$ that it has itself
# reached is smaller; it leads to {glue:text}`noise-own:.1f`°, and about half of that gain comes
# from the size.) For the other two losses, which hold few entries or none, flow and noise are at
# least {glue:text}`noise-others:.0f`° apart. {numref}`fig-noise` shows why. Noise averages out and
# leaves $u$ proportional to $v^*$, as far as the clip lets it. The difference $f(u) - u$ is a
# function of $u$, which stays until $u$ has moved, and leaves three values: a ternary version of
# $v^*$.
#
# The price is paid in $f(u)$. After any of the three kinds of noise bin(u) is the nearest binary
# vector, to {glue:text}`noise-excess:.1f`°. Sigma–delta spends its signs on being right on average,
# which a deployed network does not use.
#
# ## The latents of one narrow network come to lie like the flow's
#
# If training were this flow, two things could be seen in any trained network. Latent weights would
# lie at three values, $-1$, 0 and $+1$. And the share of signs that differ from one epoch to the
# next would not depend on the learning rate, which only sets how large $u$ is in entries that flip.
# {numref}`fig-training` compares published networks with flows, without and with Gaussian noise in
# the gradients, as batches add it.

# %%
GRADIENT_NOISE = 10.0  # standard deviation, in entries of a gradient that begin at size 1
run = training.published_run("cifar10-convnet-long-w1-s1")
assert (run.recipe.schedule, run.recipe.warmup_epochs) == ("cosine", 2)
parts = len(run.history)  # of a flow, as many as the network has epochs


class Batches:
    """The identity backward, with noise added to what passes, as batches add it."""

    def __init__(self, size):
        self.size = size

    def pull_back(self, u, upstream):
        return upstream + self.size * generator.standard_normal(u.shape)


def noisy_flow(size, schedule="cosine to zero", longer=1):
    options = {"log_every": longer * updates // parts, "keep_path": True}
    steps = np.repeat(SCHEDULES[schedule][0], longer)
    return flows.flow(losses.COSINE, target, start, steps, backward=Batches(size), **options)


def flips(path):
    return np.mean((path[1:] > 0) != (path[:-1] > 0), axis=(1, 2))[:parts]


def piles(values):
    """Density beyond .9 and within .1 over that between .3 and .7, for |u| of uniform entries 1."""
    size = np.abs(values)
    middle = np.mean((size > 0.3) & (size <= 0.7)) / 0.4
    return {"ends": np.mean(size > 0.9) / 0.1 / middle, "zero": np.mean(size <= 0.1) / 0.1 / middle}


def density(values):
    counts, edges = np.histogram(values, np.linspace(-1, 1, 21), density=True)
    return pd.Series(counts, (edges[1:] + edges[:-1]) / 2).replace(0, np.nan)


def latents_of(run):
    return {k: x.weight.detach().numpy() for k, x in layers.weight_layers(run.network()).items()}


latents = latents_of(run)
of_flow, of_noisy = noisy_flow(0.0), noisy_flow(GRADIENT_NOISE)
epochs = pd.RangeIndex(1, parts + 1)
eighth, quarter = (
    [training.published_run(f"cifar10-convnet-long-w{w:g}-s{s}") for s in (1, 2, 3)]
    for w in (1 / 8, 1 / 4)
)
original = training.published_run("cifar10-convnet-original-w0.125-s1")
longer = len(original.history) // parts
of_slow = noisy_flow(GRADIENT_NOISE, "exponential, to 1/1000", longer)
of_flows = {"flow": of_flow, "flow, noisy": of_noisy, "flow, noisy, longer": of_slow}
shown = {
    "conv6, full width": (run, "conv6"),
    "conv2, an eighth": (eighth[0], "conv2"),
    "conv2, an eighth, original": (original, "conv2"),
}
samples = {k: x.u for k, x in of_flows.items()}
samples |= {k: latents_of(x)[layer] for k, (x, layer) in shown.items()}
curves = {k: pd.Series(flips(x.path), epochs) for k, x in of_flows.items()} | {
    k: x.history.set_index("epoch")[f"flips_{layer}"] for k, (x, layer) in shown.items()
}
drawn = {}  # over the part of the training, as many epochs of each
for label, curve in curves.items():
    at = np.linspace(1, len(curve), parts).round().astype(int)
    drawn[label] = curve.loc[at].set_axis(at / len(curve))
figure, axes = plots.new_figure(2, 1, width=5.8, height=7.4)
plots.series({k: density(v) for k, v in samples.items()}, axes[0, 0])
axes[0, 0].set(yscale="log", xlabel="latent weight", ylabel="density")
plots.series(drawn, axes[1, 0])
axes[1, 0].set(
    xlabel="part of the training, or of the flow", ylabel="share of signs changed", ylim=(0, 0.6)
)
axes[1, 0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
show(
    figure,
    name="fig-training",
    caption=(
        "Flows of the scale-invariant loss, without and with noise in the gradients, beside layers "
        "of three networks. Steps and learning rates fall along a cosine, but exponentially in "
        f"`original` and the longer flow, which has {longer} times the updates. Top: density of "
        "latents at the end (of networks: in the epoch that was kept), logarithmic. Bottom: share "
        "of signs that differ from those an epoch before, or a part of the flow, which has "
        f"{parts}. Networks: published runs on {run.data['title']}, of `long` with {parts} epochs "
        f"and of `original` with {len(original.history)}."
    ),
    origin=origin,
    alt=(
        "Top: the flows have three peaks each, that without noise with next to nothing in between, "
        "those with noise with more, and the longer of them with less. The layer of full width is "
        "nearly level, that of the narrow network has three peaks, and that of original lies along "
        "the longer flow with noise. Bottom: the flow without noise is level at fifteen per cent. "
        "That with noise falls from nearly fifty to almost none; the longer one falls sooner, to "
        "fifteen, and stays there, as original's layer does near eight. The layer of full width "
        "rises to more than a quarter and falls to nearly nothing; that of the narrow one falls "
        "slowly."
    ),
)


# %%
def layer_piles(latents):
    return pd.DataFrame({k: piles(w) for k, w in latents.items()}).T


pile_table = layer_piles(latents)
inner = pile_table.drop("conv1")
by_width = {}
for w, found in ((1 / 8, eighth), (1 / 4, quarter)):
    seeds_of = [layer_piles(latents_of(x)).loc[inner.index] for x in found]
    by_width[w] = pd.concat(seeds_of, keys=range(len(found)), names=["seed", "layer"])
for kind in ("zero", "ends"):  # the narrower, the more, in every layer, seed by seed
    of_eighth, of_quarter = (by_width[w][kind].unstack("layer") for w in (1 / 8, 1 / 4))
    assert (of_eighth.min() > of_quarter.max()).all()
    assert (of_quarter.min() > inner[kind]).all()
highest = {w: x.groupby("layer").mean().max() for w, x in by_width.items()}
for found in (*eighth, *quarter):  # at the end, of what there were at the most
    of_layer = found.history.set_index("epoch")[[f"flips_{k}" for k in inner.index]]
    assert (of_layer.iloc[-1] < 0.5 * of_layer.max()).all()
glue(piled_seeds=len(eighth), piled_eighth=highest[1 / 8], piled_quarter=highest[1 / 4])
flow_piles, noisy_piles = piles(of_flow.u), piles(of_noisy.u)
changed = run.history.set_index("epoch").filter(like="flips_")
assert min(flow_piles.values()) > 100
assert inner["zero"].max() < 2 < pile_table.loc["conv1", "zero"] < flow_piles["zero"] / 20
assert max(noisy_piles.values()) < 10
assert (changed.iloc[-1] < 0.5 * changed.max()).all()
level = curves["flow"].iloc[1:-1]  # not on its way there, nor where the step is zero
assert level.max() - level.min() < 0.03
assert curves["flow, noisy"].iloc[-1] < 0.5 * curves["flow, noisy"].max()
glue(pile_flow=flow_piles["zero"], pile_layers=inner["zero"].max(), pile_noisy=noisy_piles["zero"])
glue(
    noise_times=GRADIENT_NOISE,
    pile_first=pile_table.loc["conv1", "zero"],
    flips_flow=100 * level.mean(),
)
most_epoch = changed["flips_conv6"].idxmax()
assert most_epoch > run.recipe.warmup_epochs + 5
assert all(curves[k].idxmax() == 1 for k in of_flows)
branch = training.published_run("cifar10-convnet-long-w1-s1-branch")  # at a constant rate
begun = branch.info["branch_of"]["epoch"]
held = 100 * branch.history["flips_conv6"]
beside = 100 * changed["flips_conv6"].loc[begun + 1 : begun + len(held)]
assert np.allclose(branch.history["lr"], run.history.set_index("epoch")["lr"][begun], rtol=0.01)
assert held.max() - held.min() < 2
assert beside.iloc[-1] < held.min() - 5
glue(begun=begun, held_epochs=len(held), held_low=held.min(), held_high=held.max())
glue(beside_last=beside.iloc[-1])
glue(flips_most=100 * changed["flips_conv6"].max(), most_epoch=most_epoch)
glue(late=most_epoch - run.recipe.warmup_epochs)
glue(flips_last=100 * changed["flips_conv6"].iloc[-1])

# %% [markdown]
# At full width both predictions fail, but for a trace in the first layer. In the flow latents lie
# {glue:text}`pile-flow:.0f` times as densely at zero as between the piles; in the network nowhere
# but in the first layer more than {glue:text}`pile-layers:.1f` times, and there
# {glue:text}`pile-first:.1f` times. In the flow {glue:text}`flips-flow:.0f` % of the signs differ
# from one part to the next, at any step; in conv6 {glue:text}`flips-most:.0f` % do in epoch
# {glue:text}`most-epoch` and {glue:text}`flips-last:.1f` % in the last. It is the rate that brings
# them down: with it held from epoch {glue:text}`begun` on, for {glue:text}`held-epochs` epochs,
# they stay between {glue:text}`held-low:.1f` and {glue:text}`held-high:.1f` %, where the falling
# one leaves {glue:text}`beside-last:.0f` %. That they are most numerous {glue:text}`late` epochs
# after the rate was highest no flow shows.
#
# The piles come with narrowness. In each layer after the first both are higher at an eighth of the
# width than at a quarter, and there higher than in full, seed by seed ({glue:text}`piled-seeds` of
# each, one in full, with the same largest step): at zero up to
# {glue:text}`piled-eighth-zero:.1f` times as densely as between and at the ends up to
# {glue:text}`piled-eighth-ends:.0f` times at an eighth, {glue:text}`piled-quarter-zero:.1f` and
# {glue:text}`piled-quarter-ends:.0f` times at a quarter. Flips still become fewer there with
# the rate ({numref}`fig-steps`).

# %%
in_original = layer_piles(latents_of(original)).loc[inner.index]
for kind in ("zero", "ends"):  # with the same step, but five hundred epochs
    assert (in_original[kind] > by_width[1 / 8][kind].unstack("layer").max()).all()
steps = [schedule.largest_step(x.network(), x.recipe) for x in (run, eighth[0], original)]
assert np.allclose(steps, steps[0], rtol=0.01)
later = original.history.set_index("epoch").loc[len(original.history) // 2 :]
slower = later["lr"].iloc[0] / later["lr"].iloc[-1]
fewer = later[[f"flips_{k}" for k in inner.index]].rolling(10).mean().iloc[[9, -1]]
fewer = 100 * fewer.set_axis(["from", "to"]).T
by_epoch = original.measurements.pivot(index="epoch", columns="layer")
followed = {k: by_epoch[k][inner.index].median(axis=1) for k in ("r", "angle")}
glue(original=in_original.max().to_dict(), original_epochs=len(original.history))
left = fewer["to"] / fewer["from"]
assert fewer.loc["flips_conv2", "to"] > 0.8 * fewer.loc["flips_conv2", "from"]
assert left.min() > 0.5
assert slower > 50
glue(slower=slower, fewer=fewer.loc["flips_conv2"].to_dict())
glue(fewest=fewer.loc[left.idxmin()].to_dict() | {"layer": left.idxmin().removeprefix("flips_")})
then = 8
r, angle = followed["r"], followed["angle"]
assert angle.iloc[-1] > max(30, angle[then] + 2)
assert r.iloc[-1] < r[then] - 0.005
steady = 100
late, last = slice(-steady, -steady // 2), slice(-steady // 2, None)
assert abs(angle.iloc[last].mean() - angle.iloc[late].mean()) < 0.1
assert abs(r.iloc[last].mean() - r.iloc[late].mean()) < 0.001
glue(then=then, steady=steady, angle={"then": angle[then], "end": angle.iloc[-1]})
glue(r={"then": r[then], "end": r.iloc[-1]})
slow = 100 * curves["flow, noisy, longer"]
slow_piles, halfway = piles(of_slow.u), parts // 2
assert slow_piles["zero"] > 4 * noisy_piles["zero"]
assert slow.iloc[-1] > 0.8 * slow[halfway]
assert slow.iloc[-1] > fewer.loc["flips_conv2", "to"]
glue(longer=longer, slow={"pile": slow_piles["zero"], "half": slow[halfway], "end": slow.iloc[-1]})

# %% [markdown]
# They are higher still under `original` at an eighth (one seed): in each of these layers above all
# networks of `long`, up to {glue:text}`original-zero:.0f` times at zero and
# {glue:text}`original-ends:.0f` at the ends. It has the same step, but {glue:text}`original-epochs`
# epochs, a rate that falls exponentially, another loss, half the batch and no augmentation. Now
# flips depend little on the rate: in the second half it falls {glue:text}`slower:.0f`-fold, and the
# signs that change go from {glue:text}`fewer-from:.1f` to {glue:text}`fewer-to:.1f` % in conv2 and
# from {glue:text}`fewest-from:.1f` to {glue:text}`fewest-to:.1f` % in {glue:text}`fewest-layer`,
# which loses most. Filters turn away from their signs: the median layer's angle goes from
# {glue:text}`angle-then:.1f`° after epoch {glue:text}`then` to {glue:text}`angle-end:.1f`°, further
# than uniform entries are, and its $r$ from {glue:text}`r-then:.3f` to {glue:text}`r-end:.3f`; both
# hardly move in the last {glue:text}`steady` epochs.
#
# Noise in the gradients, {glue:text}`noise-times:.0f` times as large as at the start, brings the
# flow's piles nearer to those of these networks. Where its step falls along a cosine, the pile at
# zero is {glue:text}`pile-noisy:.1f` times as dense as what lies between, and flips become fewer
# with the step. With {glue:text}`longer` times the updates, about as `original` has times the
# epochs, and a step that falls exponentially, the pile is {glue:text}`slow-pile:.0f` times as
# dense, and flips level off, above those of conv2: {glue:text}`slow-half:.0f` % half-way,
# {glue:text}`slow-end:.0f` % at the end. That noise makes the networks' piles is not shown.
#
# ## What small networks cannot tell
#
# The same network was trained with independent noise of the size of $f(u) - u$ in the place of bin,
# with a batch norm that does not subtract the mean, and with deliberately wrong backward functions.
# There are two seeds of a network of width {glue:text}`study-width`, trained for
# {glue:text}`study-epochs` epochs. We rank nothing by them.

# %%
study = tables.published("estimators")
summary = estimator_study.summarize(study)
outside, idle, reference = (
    summary.loc[k] for k in ("activations: outside alone", "activations: nothing", "reference")
)
assert outside["r"] >= reference["r"] > idle["r"]
glue(outside_r=outside["r"], idle_r=idle["r"], reference_r=reference["r"])
assert outside[["seed 1", "seed 2"]].min() > 75
glue(study_width=width(study.recipe.width), study_epochs=study.recipe.epochs)
table(
    summary.loc[
        [
            "reference",
            "independent noise",
            "mean not subtracted",
            "activations: outside alone",
            "activations: nothing",
        ]
    ],
    {
        "seed 1": "test error, batch norm refitted, seed 1 (%) | .1f",
        "seed 2": "seed 2 | .1f",
        "r": "r, median layer | .2f",
    },
)

# %% [markdown]
# *Outside alone* passes a gradient just where the hard tanh cancels it, *nothing* passes none, so
# that only the last layer learns. One observation needs no more seeds: in the former $r$ is
# {glue:text}`outside-r:.2f`, no lower than the {glue:text}`reference-r:.2f` of the reference,
# though it has learned next to nothing. In the latter, whose layers but the last were never
# trained, it is {glue:text}`idle-r:.2f`. {doc}`dot_products` has to face both.
#
# ## Scale does not matter, but for ε and rounding
#
# The argument needs $L(v) = L(kv)$ for $k > 0$. Multiply a unit's weight vector by $k$, and its dot
# products, their mean and their standard deviation are all multiplied by $k$:
#
# $$
# \frac{k\,x\cdot w - k\,\mu}{\sqrt{k^2\sigma^2 + \epsilon}}
#   \;=\; \frac{x\cdot w - \mu}{\sqrt{\sigma^2 + \epsilon/k^2}} .
# $$ (eq-batch-norm)
#
# This does not depend on $k$, but for the small $\epsilon$ that guards against division by zero;
# and it remains so if $\mu$ is subtracted, which the paper's condition excludes. We multiply the
# *binary* weights of every unit of a published network by a factor of its own, from 1/16 to 16.
# (Scaling latent weights would test nothing: bin ignores it.)

# %% tags=["nbval-ignore-output"]
cifar10 = data.load("cifar10", source=source)
scaled = training.published_run("cifar10-convnet-long-w0.125-s1")
network, images = scaled.network(), cifar10.test.sample(sizes.probe_images, seed)
pixels = inference.scale_images(images.images)
draws = torch.Generator().manual_seed(seed)
FACTORS = {
    "powers of two": invariance.powers_of_two(network, 4, draws),
    "any": invariance.random_factors(network, 4, draws),
}
EPSILONS = {"negligible": 1e-30, "own": scaled.recipe.norm_epsilon}
scale_rows = []
for running, subtract_mean in ((True, True), (True, False), (False, True), (False, False)):
    for epsilon, value in EPSILONS.items():
        options = {"subtract_mean": subtract_mean, "epsilon": value, "running": running}
        before = invariance.class_scores(network, pixels, **options)
        for kind, factors in FACTORS.items():
            if (epsilon, kind) == ("own", "any"):  # says no more than powers of two
                continue
            after = invariance.class_scores(network, pixels, factors, **options)
            row = {
                "ε": epsilon,
                "factors": kind,
                "statistics": "running" if running else "batch",
                "mean": "subtracted" if subtract_mean else "not subtracted",
                "change": float((after - before).abs().max() / before.abs().max()),
                "predictions": float((after.argmax(1) != before.argmax(1)).double().mean()),
            }
            scale_rows.append(row)
            records.record(
                "scale-invariance",
                row["predictions"],
                preset=preset,
                data=cifar10.provenance,
                note=", ".join(f"{k} {row[k]}" for k in ("ε", "factors", "statistics", "mean")),
            )
scale_table = pd.DataFrame(scale_rows)
negligible = scale_table[scale_table["ε"] == "negligible"].set_index("factors")
own = scale_table[scale_table["ε"] == "own"]
assert negligible.loc["powers of two", "change"].max() < 1e-5
assert negligible.loc["powers of two", "predictions"].max() == 0
assert own["change"].max() > negligible.loc["powers of two", "change"].max()
assert negligible.loc["any", "change"].max() < 0.5
exactly, rounded = (negligible.loc[kind, "change"].max() for kind in FACTORS)
glue(scale_images=len(pixels), scale_data=cifar10.provenance.title)
glue(scale_width=width(scaled.recipe.width))
change = f"change by {scientific(exactly)} of the largest" if exactly else "do not change"
glue(scale_exact=change, scale_rounded=scientific(rounded))
glue(scale_own=100 * own["predictions"].max(), scale_any=100 * negligible["predictions"].max())

# %% [markdown]
# With a negligible $\epsilon$ and powers of two as factors, which floating point multiplies
# exactly, the scores of {glue:text}`scale-images` test images of {glue:text}`scale-data`
# {glue:text}`scale-exact`: with the mean subtracted and without, with the statistics of the batch
# and with running ones. With other factors rounding, which can carry a hidden sum across zero,
# changes the scores by {glue:text}`scale-rounded` of the largest, and {glue:text}`scale-any:.1f` %
# of the predictions. At the network's own $\epsilon$, in the worst of the four cases,
# {glue:text}`scale-own:.1f` % of the predictions change. To the loss the magnitude does not matter;
# to a network of signs with an $\epsilon$ it is not quite invisible ({claim}`scale-invariance`).
# (Network of width {glue:text}`scale-width`.)
#
# ## The literature
#
# That signs flip for ever is known where networks are quantized to a few bits: weights oscillate
# between two levels, spoil the statistics of batch norm, and are damped or frozen for it
# {cite}`nagel2022`.
#
# That $u$ is no vector near $f(u)$ but a sum of gradients has several names. BinaryConnect is dual
# averaging {cite}`bai2019,dockhorn2021`, in which $u$ is the dual of the binary vector; mirror
# descent explains updates that look like the straight-through estimator {cite}`ajanthan2021`.
# Latent weights have been called inertia, and optimizers that only decide when to flip do without
# them {cite}`helwegen2019`. Without latent weights training lacks the phase in which it searches
# greedily {cite}`li2017`. For activations a well-chosen backward function correlates with the true
# gradient, and a bad one is unstable near minima {cite}`yin2019`.
#
# ## Exercises
#
# **1. Other directions.** Draw $v^*$ from a Gaussian distribution instead of a uniform one, as the
# cell below does. Does $f(u)$ miss the nearest binary vector by more or
# by less? Check against {eq}`eq-settled`, which becomes $2\Phi(c) - 1 = c^2$.
#
# ```{dropdown} Solution 1
# By {glue:text}`gauss-word`. The excess is {glue:text}`gauss-excess:.1f`°, in theory
# {glue:text}`gauss-theory:.1f`°, against {glue:text}`excess:.1f`° for uniform entries. Nearest is
# now 37° away, and $1 - c^2$, or {glue:text}`gauss-held:.0f` %, of the entries are held.
# ```

# %% tags=["hide-cell"]
goal = generator.standard_normal((seeds, n))
found = flows.flow(losses.COSINE, goal, start, constant, log_every=7)
gauss_excess = (found.late_mean("output_angle") - angles.angle(flows.SIGN.value(goal), goal)).mean()
entries = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
law = steady_state.settled(entries)
cosine = law.cosine.item()
assert np.isclose(2 * stats.norm.cdf(cosine) - 1, cosine**2, atol=1e-3)
gauss_theory = np.degrees(np.arccos(cosine) - np.arccos(np.sqrt(2 / np.pi)))
assert abs(gauss_excess - gauss_theory) < 0.5
assert gauss_theory < np.degrees(np.arccos(3 * (2 - np.sqrt(3)))) - 30  # of uniform entries
glue(gauss_excess=gauss_excess, gauss_theory=gauss_theory, gauss_held=100 * (1 - cosine**2))
glue(gauss_word="less" if gauss_excess < by_dimension.loc[n, "constant"] else "more")

# %% [markdown]
# **2. How much gradient noise?** Change `GRADIENT_NOISE` in the cell of {numref}`fig-training`.
# When does the pile at zero vanish, and what does the noise cost the last $f(u)$?
#
# ```{dropdown} Solution 2
# The table below has both. Noise as large as the first gradient leaves the pile and hardly changes
# the last $f(u)$. Ten times as large it brings the pile down to {glue:text}`noisy-pile:.1f` and
# costs {glue:text}`noisy-cost:.0f`°, twenty times as large to {glue:text}`noisy-pile-more:.1f`, for
# {glue:text}`noisy-cost-more:.0f`°.
# ```

# %% tags=["hide-cell"]
noisy_rows = {}
for size in (0.0, 1.0, GRADIENT_NOISE, 2 * GRADIENT_NOISE):
    end = of_noisy if size == GRADIENT_NOISE else of_flow if size == 0 else noisy_flow(size)
    excess = (end.output_angle[-1] - nearest).mean()
    noisy_rows[size] = {"pile at zero": piles(end.u)["zero"], "excess of the last (°)": excess}
noisy_table = pd.DataFrame(noisy_rows).T.rename_axis("gradient noise")
costs = noisy_table["excess of the last (°)"] - noisy_table["excess of the last (°)"].iloc[0]
assert noisy_table["pile at zero"].is_monotonic_decreasing
assert noisy_table["pile at zero"].iloc[1] > 30
assert abs(costs.iloc[1]) < 2 < costs.iloc[2] < costs.iloc[3]
glue(noisy_cost=costs.iloc[2], noisy_cost_more=costs.iloc[3])
glue(noisy_pile=noisy_table["pile at zero"].iloc[2])
glue(noisy_pile_more=noisy_table["pile at zero"].iloc[3])
table(noisy_table, ".1f")
