import sys

from brigade.schedule.job import main

if __name__ == "__main__":
    sys.exit(main())
