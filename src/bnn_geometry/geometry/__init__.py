"""Laws of random vectors and of what binarizing them does: numpy and scipy, no torch."""
