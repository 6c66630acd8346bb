"""What the chapters and the build use: presets, display, claims, plots."""
