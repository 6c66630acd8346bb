"""The high-dimensional geometry of binary neural networks: helpers for the executable book.

Importing the package imports no submodule, so that commands which need no torch start at once.
"""

__version__ = "0.1.0"
