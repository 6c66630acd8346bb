"""Plots over one style: general ones, and those of single chapters; they compute nothing."""

from bnn_geometry.book.plots.general import by_layer, clouds, histograms, series
from bnn_geometry.book.plots.style import log_axis, new_figure

__all__ = ["by_layer", "clouds", "histograms", "log_axis", "new_figure", "series"]
