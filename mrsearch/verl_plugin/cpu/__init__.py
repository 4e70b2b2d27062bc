"""Everything that only a machine without a GPU needs; chosen by the platform and imported nowhere else."""
