"""The pictures: one file a figure, each computes its data once and draws from what is stored."""
