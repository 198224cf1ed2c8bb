"""The demo: a small traced service under a steady load, with a live view of what every layer does."""
