"""The invented words of the synthetic world.

The lists do not depend on a seed: a model whose vocabulary holds them can walk any world made from them. Each
name is a beginning and an ending, so that no name is a real person's and none needs more than two tokens.
Endings are ones that an English stemmer leaves alone: names that differ must differ for BM25 too.
"""

from itertools import product


def _names(beginnings: str, endings: str) -> tuple[str, ...]:
    return tuple(a + b for b, a in product(endings.split(), beginnings.split()))


FIRST_NAMES = _names("Al Bra Cor Da El Fi Gar Ha Jo Ka", "na vin dor mek lo rik tan bo sha win")
LAST_NAMES = _names("Lor Mar Nel Or Per Quan Ros Sol Tor Ul", "berg dal fal gum hov kop mund rup stad wick")
TOWNS = _names("Bel Dun Eld Fen Glas Hol Kil Mon Nor Ash", "ford ham port mouth wold cot haven bay")
EMPLOYERS = _names("Vel Zan Kor Tri Pax Om Nex Lum Dyn Syl", "corp tek lab mart bank gen soft co")
OCCUPATIONS = (
    "baker", "painter", "smith", "farmer", "doctor", "lawyer", "pilot", "tailor",
    "cook", "miner", "sailor", "poet", "judge", "singer", "monk", "clerk",
)  # fmt: skip
PERSON_RELATIONS = ("spouse", "mentor", "rival")
PLACE_RELATIONS = ("birthplace", "home", "employer")
RELATIONS = PERSON_RELATIONS + PLACE_RELATIONS
