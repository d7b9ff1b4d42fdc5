"""The quality measures, one file per family."""
