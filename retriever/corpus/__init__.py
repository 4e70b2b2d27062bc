"""Corpora: read from files, validated, and kept memory-mapped.

A corpus is one of:

* a file of JSON lines, `.jsonl` or `.jsonl.gz`, one passage per line;
* a `.parquet` file, one passage per row;
* a folder of such files, at any depth, read one after the other in the order of their paths;
* a store, which `build_store` makes of any of these: memory-mapped, with access by row and id.

A passage is `{"id": "7", "contents": "\\"Title\\"\\ntext"}`, which is Search-R1's form, or
`{"id": "7", "title": "…", "text": "…"}`; a file of JSON lines may mix the two. Ids are unique in the corpus. They
are strings; whole numbers stand for their digits.

`hub_corpus` fetches a published corpus.
"""

from retriever.corpus.build import build_store
from retriever.corpus.hub import WIKI_18, hub_corpus
from retriever.corpus.read import corpus_size, read_corpus
from retriever.corpus.store import CorpusStore, is_store, open_store

__all__ = [
    "WIKI_18",
    "CorpusStore",
    "build_store",
    "corpus_size",
    "hub_corpus",
    "is_store",
    "open_store",
    "read_corpus",
]
