"""Everything that decides which vector a text gets; kept whole in the manifest of an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from retriever.errors import BadModel, BadRequest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

POOLINGS = ("mean", "cls", "last", "pooler")
DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """How texts become vectors.

    Attributes:
        model: hub name or absolute folder of the model of passages, or `minilm`.
        revision: its commit, or the fingerprint of its folder.
        query_model: the model of queries where that is another one, as in DPR; else empty.
        query_revision: likewise.
        pooling: which vector stands for a text: the `mean` of its tokens, the first (`cls`), the `last`, or the
            network's own `pooler` output.
        normalize: whether vectors are scaled to length 1.
        query_prefix: put before every query.
        passage_prefix: put before every passage.
        passage_form: how title and text become one passage, with the places `{title}` and `{text}`; a passage
            without a title is its text alone.
        append_eos: whether the end-of-text token is added where the tokenizer does not do so.
        max_length: tokens of a text that are read; what follows is cut off.
        dtype: `auto`, which is half precision on a GPU and 32 bits on a CPU, or the name of a torch dtype.
    """

    model: str
    revision: str
    pooling: str
    max_length: int
    normalize: bool = True
    query_prefix: str = ""
    passage_prefix: str = ""
    passage_form: str = "{title} {text}"
    append_eos: bool = False
    dtype: str = "auto"
    query_model: str = ""
    query_revision: str = ""

    def __post_init__(self) -> None:
        """Raises `BadRequest` for a value that is not accepted."""
        _check_choice("pooling", self.pooling, POOLINGS)
        check_dtype(self.dtype)
        if self.max_length < 2:
            raise BadRequest(f"max_length must be at least 2 tokens, found {self.max_length}.")
        try:
            shown = self.passage_form.format(title="<title>", text="<text>")
        except (LookupError, ValueError) as error:
            raise BadRequest(f"passage_form {self.passage_form!r} may hold only {{title}} and {{text}}.") from error
        if "<text>" not in shown:
            raise BadRequest(f"passage_form {self.passage_form!r} must hold {{text}}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderSpec:
        """Reads back what `to_dict` gave.

        Raises:
            BadModel: a field is missing, unknown or of another type.
        """
        return cls(**read_fields(cls, values, "encoder"))

    def to_dict(self) -> dict[str, Any]:
        """The fields, as JSON holds them."""
        return asdict(self)

    def passage(self, title: str, text: str) -> str:
        """The text of a passage as the model gets it."""
        title = " ".join(title.split())
        return self.passage_prefix + (self.passage_form.format(title=title, text=text) if title else text)

    def query(self, query: str) -> str:
        """The text of a query as the model gets it."""
        return self.query_prefix + query


def check_dtype(dtype: str) -> None:
    """Raises `BadRequest` unless it is the name of a dtype in which models can be loaded."""
    _check_choice("dtype", dtype, DTYPES)


def read_fields(cls: type[DataclassInstance], values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Checks that a mapping has exactly the fields of a dataclass of strings, whole numbers and truth values.

    Raises:
        BadModel: a field is missing, unknown or of another type.
    """
    kinds = {"str": str, "int": int, "bool": bool}
    for field in fields(cls):
        if type(values.get(field.name)) is not kinds[str(field.type)]:
            raise BadModel(f'The {what}\'s field "{field.name}" must be of type {field.type}; build the index again.')
    unknown = set(values) - {field.name for field in fields(cls)}
    if unknown:
        raise BadModel(f'This version does not know the {what}\'s field "{min(unknown)}"; it is of a newer version.')
    return dict(values)


def _check_choice(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise BadRequest(f'{name} must be one of {", ".join(accepted)}, found "{value}".')
