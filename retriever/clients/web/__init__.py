"""Web search engines as searchers: Serper, SerpAPI, Google Programmable Search, Brave."""

from retriever.clients.web.searcher import WebSearcher

__all__ = ["WebSearcher"]
