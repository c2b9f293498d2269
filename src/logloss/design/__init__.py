"""Columns into numbers and codes: the target, the first pass, the encoded block."""
