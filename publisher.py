import sys

from brigade.publishing.run import main

if __name__ == "__main__":
    sys.exit(main())
