"""Exhaustive verification of the kernels: every float32, millions of float64, against a truth."""
