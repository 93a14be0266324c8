"""`python -m distilled_recommender`: the console command, where its script is not on the PATH."""

import sys

from distilled_recommender.app import main

if __name__ == "__main__":
    sys.exit(main())
