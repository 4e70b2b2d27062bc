"""`python -m retriever`."""

from retriever.commands import app

app(prog_name="retriever")
