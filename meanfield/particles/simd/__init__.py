"""Products of small matrices and random normals, computed in registers."""
