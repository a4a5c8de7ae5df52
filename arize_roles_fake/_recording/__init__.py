"""Recorded calls: to script, to record, to compare."""
