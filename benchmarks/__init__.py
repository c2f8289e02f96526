"""Timings of the engines beside other software on the same problems."""
