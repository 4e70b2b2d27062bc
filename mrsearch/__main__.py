"""`python -m mrsearch`."""

from mrsearch.cli import main

main()
