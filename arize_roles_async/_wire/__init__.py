"""Bytes, without I/O."""
