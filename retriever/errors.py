"""Everything this package raises on purpose: one clear sentence each, fit to be shown to a user."""


class RetrieverError(Exception):
    """Base of all errors of this package; its text is one sentence that says what would be accepted."""


class BadCorpus(RetrieverError):
    """A corpus file is missing or a line of it is not a passage."""


class BadIndex(RetrieverError):
    """An index folder is missing, incomplete, of another type, or in the way."""


class BadModel(RetrieverError):
    """A model is missing, or cannot be used as an encoder or a reranker."""


class BadQuestions(RetrieverError):
    """A file of questions is missing or a line of it is not a question."""


class BadRequest(RetrieverError):
    """Queries, a parameter or a target lie outside what is accepted."""


class Busy(RetrieverError):
    """More queries are waiting than the queue holds."""


class NotReady(RetrieverError):
    """The index is not loaded yet, or does not answer."""


class JavaMissing(RetrieverError):
    """No usable Java, or no Anserini to run in it."""


class JavaFailed(RetrieverError):
    """A call into Java raised."""


class ServeFailed(RetrieverError):
    """The Ray Serve application could not be deployed."""


class SearchFailed(RetrieverError):
    """A search target did not answer; the text names the target and the cause."""


class DeadlineExceeded(SearchFailed):
    """No answer within the time that a search may take in all."""


class CircuitOpen(SearchFailed):
    """The target has not answered for so long that it is asked only now and then."""


class Unauthorised(SearchFailed):
    """The target refuses the token or key it was given."""
