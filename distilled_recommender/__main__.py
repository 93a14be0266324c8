"""Runs the console command as `python -m distilled_recommender`, for use without its script."""

import sys

from distilled_recommender.app import main

if __name__ == "__main__":
    sys.exit(main())
