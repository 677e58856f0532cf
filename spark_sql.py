import sys

from brigade.conversion.run import main

if __name__ == "__main__":
    sys.exit(main())
