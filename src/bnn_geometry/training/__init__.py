"""Recipes, the training loop, and runs on disk."""
