"""Claims and their verdicts: `python -m validation [CLAIM ...] [--quick | --full]`; see
validation/suite.py.
"""
