"""Figures of the chapter on learning dynamics, over the one style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bnn_geometry.book.plots.style import BLUE, GREEN, GREY, LOOKS, ORANGE, VERMILION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnn_geometry.geometry.flows import Flow
    from bnn_geometry.geometry.steady_state import Oscillation, Settled


def plot_flow_plane(
    flow: Flow, ax: Axes, *, target: NDArray, field: tuple[NDArray, NDArray]
) -> Axes:
    """Flows in two dimensions: paths of u, the four binary vectors, v* and the mean of f(u).

    Parameters
    ----------
    flow : Flow
        In two dimensions, one row for each start, with its path.
    ax : Axes
    target : ndarray, shape (2,)
        v*; only its direction is drawn.
    field : tuple of two ndarray, shape (points, 2)
        Points, and the steps that u takes there.
    """
    size = np.abs(target).max()
    end = 1.3 * target / size
    nearest = np.where(target > 0, 1.0, -1.0)
    ax.axhline(0, color="0.75", lw=1)
    ax.axvline(0, color="0.75", lw=1)
    points, steps = field
    ax.quiver(*points.T, *steps.T, color="0.6", angles="xy", width=0.005, zorder=1)
    ax.plot([0, end[0]], [0, end[1]], color="black", lw=1, ls="--", label="direction of $v^*$")
    for row, path in enumerate(np.moveaxis(flow.path, 1, 0)):
        ax.plot(*path.T, "-", color=BLUE, lw=1.4, label="$u$" if row == 0 else None)
        start = "start of $u$" if row == 0 else None
        ax.plot(*path[0], "o", color=BLUE, ms=7, mfc="white", ls="", label=start)
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    other = corners[(corners != nearest).any(axis=1)]
    ax.plot(*other.T, "s", color=VERMILION, ms=10, mfc="white", mew=2, ls="", label="binary")
    ax.plot(*nearest, "s", color=VERMILION, ms=10, ls="", label="nearest to $v^*$")
    ax.plot(*flow.mean_output.T, "*", color="black", ms=13, ls="", label="mean of $f(u)$")
    ax.set(xlabel="first entry", ylabel="second entry", aspect="equal")
    ax.set_xlim(-1.35, 1.35)
    ax.set_ylim(-1.35, 1.35)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize="small")
    return ax


def plot_flow_angles(flow: Flow, ax: Axes, *, lines: dict[str, float], row: int = 0) -> Axes:
    """Angles between f(u), u and v* along one flow.

    Parameters
    ----------
    flow : Flow
    ax : Axes
    lines : dict
        Label → angle in degrees, drawn as horizontal lines.
    row : int
        Which of the flows.
    """
    outputs = flow.output_angle[:, row]
    ax.plot(
        flow.steps,
        outputs,
        color=VERMILION,
        lw=1.2,
        drawstyle="steps-post",
        label="$f(u)$ and $v^*$",
    )
    ax.plot(
        flow.steps, flow.latent_angle[:, row], color=BLUE, lw=1.8, ls="-.", label="$u$ and $v^*$"
    )
    ax.plot(flow.steps, flow.turn[:, row], color=GREEN, lw=1.4, ls=":", label="$u$ and $f(u)$")
    for (label, angle), style in zip(lines.items(), ("--", (0, (1, 3))), strict=False):
        ax.axhline(angle, color="black", lw=1.2, ls=style, label=label)
    ax.set(xlabel="updates", ylabel="angle (degrees)", ylim=(0, None))
    ax.legend(loc="upper right")
    return ax


def plot_excess(table: pd.DataFrame, ax: Axes) -> Axes:
    """What is missing to the nearest binary vector, against n.

    Parameters
    ----------
    table : DataFrame
        Columns n; excess, its standard error excess_se, excess_theory: degrees.
    ax : Axes
    """
    ax.plot(table["n"], table["excess_theory"], color=VERMILION, lw=1.2, label="expected")
    ax.errorbar(
        table["n"],
        table["excess"],
        yerr=table["excess_se"],
        fmt="o",
        ms=5,
        capsize=3,
        color=VERMILION,
        label="measured",
    )
    ax.axhline(0, color="black", lw=1.2, ls="--", label="nearest binary vector")
    ax.set(xscale="log", xlabel="dimension n", ylabel="excess angle of $f(u)$ (degrees)")
    ax.set_ylim(bottom=-0.5)
    ax.legend()
    return ax


def plot_oscillation(
    found: Oscillation, expected: Settled, axes: Sequence[Axes], *, size: NDArray, step_size: float
) -> None:
    """Period and amplitude of every entry of one flow, against theory.

    Parameters
    ----------
    found : Oscillation
    expected : Settled
        Of one row.
    axes : sequence of two Axes
        For the period and the amplitude.
    size : ndarray, shape (n,)
        |v_i*| over the threshold: below 1 an entry oscillates.
    step_size : float
        Amplitudes are drawn in its units.
    """
    order = np.argsort(size)
    moving = size < 1
    axes[0].plot(size[moving], found.period[moving], ".", color=BLUE, ms=4, label="measured")
    axes[0].plot(size[order], expected.period[0][order], color="black", lw=1, label="expected")
    axes[0].set(yscale="log", ylabel="period (updates)")
    axes[0].legend(loc="upper left")
    span = (found.high - found.low) / step_size
    axes[1].plot(size, span, ".", color=BLUE, ms=4, label="measured")
    reach = 2 * expected.reach[0, 0]
    axes[1].plot([0, 1, 1], [reach, reach, 0], color="black", lw=1, label="expected")
    axes[1].set(ylabel="range of $u$ / step size", ylim=(-0.1, 1.6 * reach))
    axes[1].legend(loc="upper right")
    for ax in axes:
        ax.set_xlabel("$|v_i^*|$ / threshold")


def plot_piles(curves: Sequence[tuple[str, pd.DataFrame]], ax: Axes) -> Axes:
    """Densities of latents on [−1, 1], logarithmic.

    Parameters
    ----------
    curves : sequence of up to six (label, DataFrame)
        Columns left, right (edges of a bin) and density.
    ax : Axes
    """
    for (label, table), (colour, _, style) in zip(curves, LOOKS, strict=False):
        edges = [*table["left"], table["right"].iloc[-1]]
        ax.stairs(table["density"], edges, color=colour, ls=style, lw=1.6, label=label)
    ax.axhline(0.5, color="black", lw=1, ls=":")
    ax.set(yscale="log", xlabel="latent", ylabel="density")
    ax.set_xticks([-1, -0.5, 0, 0.5, 1])
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return ax


def plot_training_noise(table: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """What binarization adds to the latent weights, layer by layer along a training run.

    Parameters
    ----------
    table : DataFrame
        Columns layer, epoch, size, cosine_latent and kurtosis.
    axes : sequence of three Axes
    """
    names = table["layer"].unique()
    for epoch, (colour, marker, style) in zip(sorted(table["epoch"].unique()), LOOKS, strict=False):
        rows = table[table["epoch"] == epoch].groupby("layer", sort=False).mean(numeric_only=True)
        for ax, column in zip(axes, ("size", "cosine_latent", "kurtosis"), strict=True):
            label = "untrained" if epoch == 0 else f"epoch {epoch}"
            ax.plot(
                range(len(names)),
                rows[column],
                color=colour,
                marker=marker,
                ls=style,
                ms=5,
                label=label,
            )
    labels = ("size of ε", "cosine of ε and $w^c$", "excess kurtosis of ε")
    for ax, label in zip(axes, labels, strict=True):
        ax.set_xticks(range(len(names)), names, rotation=60)
        ax.set_ylabel(label)


def plot_emergence(table: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """r and angle of each layer by epoch; the untrained network stands at epoch 0.

    Parameters
    ----------
    table : DataFrame
        Columns layer, n, epoch, r and angle.
    axes : sequence of two Axes
    """
    shades = np.linspace(0.75, 0.0, table["layer"].nunique())
    for i, (name, rows) in enumerate(table.groupby("layer", sort=False)):
        colour = VERMILION if i == 0 else str(shades[i])
        marker = "os^Dv<>PX*"[i % 10]
        for ax, column in zip(axes, ("r", "angle"), strict=True):
            label = f"{name}, n = {rows['n'].iloc[0]:,}"
            ax.plot(
                rows["epoch"], rows[column], color=colour, marker=marker, ms=5, lw=1.2, label=label
            )
    for ax, label in zip(
        axes, ("r of $x·w^b$ and $x·w^c$", "angle of $w^b$ and $w^c$ (°)"), strict=True
    ):
        ax.axvline(0, color=GREY, lw=6, alpha=0.3, zorder=0)
        ax.set(xlabel="epoch (0: untrained)", ylabel=label)
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def plot_slopes(curves: Sequence[tuple[str, NDArray]], x: NDArray, ax: Axes) -> Axes:
    """Derivatives of the functions that stand in the place of bin.

    Parameters
    ----------
    curves : sequence of up to six (label, ndarray)
    x : ndarray
    ax : Axes
    """
    for (label, slope), (colour, _, style) in zip(curves, LOOKS, strict=False):
        ax.plot(x, slope, color=colour, ls=style, lw=1.8, label=label)
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="x", ylabel="$g'(x)$")
    ax.legend(loc="upper right")
    return ax


def plot_variants(summary: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Test error and r of networks trained in several ways.

    Parameters
    ----------
    summary : DataFrame
        From :func:`bnn_geometry.studies.estimators.summarize`.
    axes : sequence of two Axes
        They share their vertical axis.
    """
    rows = np.arange(len(summary))
    for ax, (value, spread), colour in zip(
        axes, (("refitted", "refitted_sd"), ("r", "r_sd")), (BLUE, ORANGE), strict=True
    ):
        ax.errorbar(
            summary[value], rows, xerr=summary[spread], fmt="o", ms=6, capsize=3, color=colour
        )
        ax.axvline(summary[value].iloc[0], color="black", lw=1, ls=":")
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(rows, summary.index)
    axes[0].invert_yaxis()
    axes[0].set_xlabel("test error (%)")
    axes[1].set_xlabel("r (median over layers)")
