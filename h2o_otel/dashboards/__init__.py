"""Panels made from the telemetry catalogue: one model, drawn by Grafana, the built-in console and the terminal."""
