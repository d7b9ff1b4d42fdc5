"""The background service: states, supervision, metrics."""
