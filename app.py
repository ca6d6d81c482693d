"""Deep Forcing in the browser, as `python -m deepforcing serve`: a Space runs this file."""

import sys

from deepforcing.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
