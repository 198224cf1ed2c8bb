"""Panels made from the telemetry catalogue: one model, which Grafana draws."""
