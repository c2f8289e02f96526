"""One file a claim: states it, computes, draws, asserts. `python -m validation [CLAIM ...] [--quick]`."""
