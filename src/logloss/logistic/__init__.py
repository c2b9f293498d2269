"""Logistic regression: the objective, its minimiser, its certificate, and what to infer from it."""
