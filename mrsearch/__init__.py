"""mrsearch: a trainer for search agents that try, reflect and try again (MR-Search, arXiv 2603.11327)."""

__version__ = "0.1.0"
