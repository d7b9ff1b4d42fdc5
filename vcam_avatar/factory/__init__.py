"""Synthetic people with exact truth (extra `factory`)."""
