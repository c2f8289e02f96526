"""Mean-field equations: (7), (8), (6) on meshes, in modes and along characteristics."""
