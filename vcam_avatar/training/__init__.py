"""Training of the networks. torch is imported here and nowhere else."""
