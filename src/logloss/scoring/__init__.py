"""Scores of probability forecasts: one mergeable pass, and the statistics made from it."""
