"""CIFAR-10 and MNIST: finding, reading, keeping and fetching them, and stand-ins."""
