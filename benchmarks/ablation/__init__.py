"""Every optimisation on and off on the same work in one run: ``python -m benchmarks.ablation``."""
