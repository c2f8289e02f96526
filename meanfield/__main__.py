from meanfield.cli import __main__  # noqa: F401
