"""Straight-through estimators, layers, the paper's networks, and changes to a network."""
