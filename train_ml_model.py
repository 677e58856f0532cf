import sys

from brigade.training.run import main

if __name__ == "__main__":
    sys.exit(main())
