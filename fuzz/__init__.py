"""Fuzz targets of the engine: HPACK beside ``hpack``, and a connection in both roles.

    python -m fuzz all --seconds 60
    python -m fuzz server --seconds 600 --engine atheris
    python -m fuzz client --replay build/fuzz/client-0123456789abcdef

A target is a function of octets that raises when an invariant does not hold, and returns what
happened in a few words; see ``targets``.
"""
