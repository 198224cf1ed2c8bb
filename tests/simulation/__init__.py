"""Simulated networks, clocks and applications; every run follows from its seed.

python -m tests.simulation --seeds 5000
python -m tests.simulation.soak --hours 8
"""
