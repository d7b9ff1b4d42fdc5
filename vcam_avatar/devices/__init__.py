"""Audio sources and frame sinks, each real device with a file or memory twin."""
