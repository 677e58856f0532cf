import sys

from brigade.landing.pipeline import main

if __name__ == "__main__":
    sys.exit(main())
