"""Interfaces of other libraries on this engine, for programs that were written for those."""
