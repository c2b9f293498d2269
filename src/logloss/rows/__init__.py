"""Rows from anywhere: sources, shards, the local engine, and draws that belong to rows."""
