"""Typed commands and who may send them: command line, OBS."""
