"""`python -m retriever`."""

from retriever.cli import app

app(prog_name="retriever")
