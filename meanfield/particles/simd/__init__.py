"""Products, normals and tiles of particles in vector instructions, emitted one by one."""
