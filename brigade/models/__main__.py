import sys

from brigade.models.store import main

if __name__ == "__main__":
    sys.exit(main())
