"""Plots, a file for each chapter over one style; they compute nothing."""
