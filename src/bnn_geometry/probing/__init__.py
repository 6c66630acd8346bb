"""What enters a trained network's layers, and its dot products beside controls."""
