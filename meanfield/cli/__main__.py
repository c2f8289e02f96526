import sys

from meanfield.cli import main

# Workers of MPI run this module under another name.
if __name__ == "__main__":
    sys.exit(main())
