"""Questions that many runs answer, and what is published of them."""
