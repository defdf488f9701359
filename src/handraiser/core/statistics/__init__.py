"""Counts in; intervals, e-values, sizes and verdicts out. Standard library only."""
