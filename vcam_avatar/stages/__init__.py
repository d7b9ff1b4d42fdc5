"""The steps of one unit. No I/O: arrays in, arrays out."""
