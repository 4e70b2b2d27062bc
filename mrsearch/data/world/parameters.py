"""How large and how hard a world is."""

from dataclasses import dataclass

from mrsearch.data.world.names import EMPLOYERS, FIRST_NAMES, LAST_NAMES, OCCUPATIONS, TOWNS
from mrsearch.errors import UserError

SPLITS = ("warm_start", "train", "test")
HOPS = (1, 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldParameters:
    """Size and difficulty of a world.

    Attributes:
        first_names, last_names, occupations, towns, employers: how many words of each list are in use.
        names: combinations of a first and a last name in use.
        max_namesakes: each combination is borne by 1 to this many persons, of different occupations.
        hops: shares of questions with 1, 2 and 3 hops.
        warm_start_share, train_share: shares of the name combinations; the test split has the rest.
        warm_start_questions, train_questions, test_questions: questions to make for each split.
        distractors: share of facts beside which a passage stands that has every word of the full query and
            another person or place, and denies the relation.
        searches_per_attempt: searches in one attempt that this world is meant for; recorded, not used here.
    """

    first_names: int = len(FIRST_NAMES)
    last_names: int = len(LAST_NAMES)
    occupations: int = len(OCCUPATIONS)
    towns: int = len(TOWNS)
    employers: int = len(EMPLOYERS)
    names: int = 3922
    max_namesakes: int = 4
    hops: tuple[float, float, float] = (1.0, 1.0, 1.0)
    warm_start_share: float = 0.5
    train_share: float = 0.3
    warm_start_questions: int = 12_000
    train_questions: int = 6_000
    test_questions: int = 600
    distractors: float = 0.0
    searches_per_attempt: int = 1

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise UserError(f"{name} is {value!r}; it must be a whole number from {least} to {most}.")
        for name in ("warm_start_share", "train_share", "distractors"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)!r}; it must be a number from 0 to 1.")
        if len(self.hops) != len(HOPS) or min(self.hops) < 0 or not sum(self.hops) > 0:
            raise UserError(f"hops is {self.hops!r}; it must be three shares, none negative, not all zero.")
        if self.warm_start_share + self.train_share > 1:
            raise UserError("warm_start_share and train_share add up to more than 1; lower one of them.")
        if self.names > self.first_names * self.last_names:
            raise UserError(
                f"names is {self.names}, but {self.first_names} first and {self.last_names} last names make only "
                f"{self.first_names * self.last_names} combinations."
            )
        if self.max_namesakes > self.occupations // 2:
            raise UserError(
                f"max_namesakes is {self.max_namesakes}; it must be at most half of occupations "
                f"({self.occupations}), for namesakes are told apart by occupation."
            )


# A question of three hops needs four persons who share no name; ten combinations a split leave room for them.
_LIMITS = {
    "first_names": (5, len(FIRST_NAMES)),
    "last_names": (5, len(LAST_NAMES)),
    "occupations": (2, len(OCCUPATIONS)),
    "towns": (2, len(TOWNS)),
    "employers": (2, len(EMPLOYERS)),
    "names": (10, len(FIRST_NAMES) * len(LAST_NAMES)),
    "max_namesakes": (1, len(OCCUPATIONS) // 2),
    "warm_start_questions": (0, 1_000_000),
    "train_questions": (0, 1_000_000),
    "test_questions": (0, 1_000_000),
    "searches_per_attempt": (1, 100),
}
