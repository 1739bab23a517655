# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The words of the grammar: phrases with a meaning of their own, and words that no name of an object contains.

`grammar.lark` has the order of the terminals. All other words are names of objects.
"""

from __future__ import annotations

from lang2segtrack_ros.instructions.plan import Order, Relation

TERMINALS: dict[str, tuple[str, ...]] = {
    "POLITE": (
        *("please", "kindly", "track", "follow", "find", "detect", "segment", "mark", "select", "show", "show me", "look for"),
        *("keep track of", "can you", "could you", "would you", "i want you to", "i would like you to"),
    ),
    "THE": ("the",),
    "A": ("a", "an", "any"),
    "ALL": ("all", "all of", "every one of", "each one of", "each of", "any of"),
    "EVERY": ("every", "each"),
    "BOTH": ("both", "both of"),
    "OF": ("of",),
    "ONE": ("one",),
    "ONES": ("ones",),
    "GENERIC": ("object", "objects", "thing", "things", "item", "items"),
    "EVERYTHING": ("everything", "anything"),
    "BETWEEN": ("between", "in between"),
    "THAT_IS": ("that is", "that are", "which is", "which are", "who is", "who are"),
    "NOT": ("not",),
    "EXCEPT": ("except", "except for", "excluding", "but not", "but", "other than", "apart from"),
    "AND": ("and", "and also", "as well as", "plus"),
    "COMMA": (",", ";", "."),
    "OPEN": ("(",),
    "CLOSE": (")",),
    "TO": ("to",),
    "FROM": ("from",),
    "ITSELF": ("itself", "themselves"),
    "AWAY": ("away", "away from the camera", "from the camera"),
}
"""Terminal of the grammar -> its phrases."""
RELATIONS: dict[Relation, tuple[str, ...]] = {
    Relation.LEFT_OF: ("left of", "to the left of", "on the left of", "at the left of", "on the left side of"),
    Relation.RIGHT_OF: ("right of", "to the right of", "on the right of", "at the right of", "on the right side of"),
    Relation.ABOVE: ("above", "over", "higher than"),
    Relation.BELOW: ("below", "under", "underneath", "beneath", "lower than"),
    Relation.ON: ("on", "on top of", "standing on", "lying on"),
    Relation.IN: ("in", "inside", "inside of", "within"),
    Relation.NEXT_TO: ("next to", "beside", "near", "close to", "by the side of"),
    Relation.IN_FRONT_OF: ("in front of",),
    Relation.BEHIND: ("behind",),
    Relation.LARGER: ("larger than", "bigger than"),
    Relation.SMALLER: ("smaller than",),
    Relation.SAME_COLOR: tuple(
        f"{before}same {word} as" for word in ("color", "colour") for before in ("the ", "with the ", "of the ", "in the ", "")
    ),
}
"""Relation -> its phrases, terminal RELATION."""
DISTANCES: dict[Relation, tuple[str, ...]] = {
    Relation.CLOSER: ("closer than", "nearer than", "less than", "closer to the camera than", "nearer to the camera than"),
    Relation.FARTHER: (
        "farther than",
        "further than",
        "more than",
        "farther away than",
        "further away than",
        "farther from the camera than",
    ),
}
"""Relation to a distance or to an object -> its phrases, terminal DISTANCE."""
ORDERS: dict[Order, tuple[str, ...]] = {
    Order.LEFTMOST: ("leftmost", "left-most"),
    Order.RIGHTMOST: ("rightmost", "right-most"),
    Order.TOPMOST: ("topmost", "top-most", "uppermost", "highest"),
    Order.BOTTOMMOST: ("bottommost", "bottom-most", "lowermost", "lowest"),
    Order.LARGEST: ("largest", "biggest"),
    Order.SMALLEST: ("smallest",),
    Order.NEAREST: ("nearest", "closest"),
    Order.FARTHEST: ("farthest", "furthest"),
}
"""Order -> its phrases before a noun, terminal ORDER."""
ORDERS_TO: dict[Order, tuple[str, ...]] = {
    Order.NEAREST: ("nearest to", "closest to"),
    Order.FARTHEST: ("farthest from", "furthest from", "farthest away from", "furthest away from"),
}
"""Order -> its phrases with a reference after a noun, terminal ORDER_TO."""
SIDES: dict[Order, tuple[str, ...]] = {
    Order.LEFTMOST: ("from the left", "from left to right", "counted from the left"),
    Order.RIGHTMOST: ("from the right", "from right to left", "counted from the right"),
    Order.TOPMOST: ("from the top", "from top to bottom", "from above", "counted from the top"),
    Order.BOTTOMMOST: ("from the bottom", "from bottom to top", "from below", "counted from the bottom"),
}
"""Order -> its phrases after an ordinal and a noun, terminal SIDE."""
PLACES: dict[Order, tuple[str, ...]] = {
    Order.LEFTMOST: ("on the left", "on the left side", "at the left"),
    Order.RIGHTMOST: ("on the right", "on the right side", "at the right"),
    Order.TOPMOST: ("at the top",),
    Order.BOTTOMMOST: ("at the bottom",),
}
"""Order -> its phrases after a noun in the singular, terminal PLACE."""
NUMBERS = dict(zip(("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), range(2, 13)))
"""Number word -> number, terminal NUMBER; digits are a NUMBER, too."""
ORDINALS = dict(
    zip(
        ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"), range(1, 13)
    )
)
"""Ordinal word -> number, terminal ORDINAL; digits with an ending, such as 2nd, are an ORDINAL, too."""
UNITS = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 0.01),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 0.001),
}
"""Unit of length -> meters, terminal UNIT."""
CONTRACTIONS = {"that's": "that is", "isn't": "is not", "aren't": "are not", "which's": "which is"}
_UNREAD = """
about across after afterwards again against ago along already also although always am among amongst another anybody anyone anywhere are
around as aside asleep at back backward backwards be because been before being beyond bottom both bring buy by call came can cannot carry
catch center come could despite did do does doing done down draw drive drop during each early eat either else enough even ever everybody
everyone everywhere exactly except far few fewer find first for forward forwards from front gave get getting give go goes going gone good
got grab had half has have having he held help her here hers herself him himself his hold how however i if immediately in instead into is
it its just keep keeps kept know last late later latter least leave left less let like little look looks lot made make makes many matter
maybe me mean meet middle might mine more moreover most move moved moves much must my myself near need needs neither never next no nobody
none nor nothing now nowhere of off often ok okay on once onto only open opposite or other others otherwise our ours ourselves out outside
over own past perhaps pick place point pull push put puts quite rather really remove right round run runs said same sat saw say says see
seem seen several shall she should sideways since sit sits so some somebody someone something sometimes somewhere soon stand stands start
stay stays still stood stop such take taken takes tell than that the their theirs them themselves then there therefore these they think
this those though through throughout thus tidy till to together told too took top touch toward towards turn twice under unless unlike until
up upon us use used uses using very via wait walk walked walks want wants was wave we wear wears well went were what whatever when where
wherever whether which while who whoever whole whom whose why will with within without would yes yet you your yours yourself
zero thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty hundred thousand dozen couple yesterday today
tomorrow colder darker faster heavier lighter longer older shorter slower taller wider younger
"""
UNREAD = frozenset(_UNREAD.split())
"""Words of the language that carry grammar: the grammar reads none of them inside the name of an object."""
NAMES_IN_ING = frozenset(
    [
        *("ring", "string", "spring", "wing", "king", "ceiling", "building", "painting", "earring", "clothing", "railing", "swing"),
        *("awning", "dressing", "icing", "pudding", "dumpling", "filling", "casing", "bearing", "fitting", "wiring", "tubing", "sling"),
        *("parking", "drawing", "washing", "swimming", "sewing", "cutting", "mixing", "serving", "landing", "bring"),
    ]
)
"""Words in -ing that name objects. Other words in -ing are verbs."""
NAMES_IN_LY = frozenset(["jelly", "lily", "belly", "trolley", "fly", "doily", "dolly", "ply", "holly", "bully"])
"""Words in -ly that name objects. Other words in -ly are adverbs."""
NAMES_IN_EST = frozenset(["chest", "nest", "vest", "guest", "forest", "crest", "pest", "harvest", "headrest", "armrest", "footrest"])
"""Words in -est that name objects. Other words in -est are superlatives."""
HEADS_IN_ED = frozenset(["bed", "shed", "sled", "seed", "weed", "reed", "feed", "steed", "seaweed", "moped", "bobsled"])
"""Words in -ed that name objects. Other words in -ed are adjectives before a name or verbs, but no last word of a name."""
_ADJECTIVES = """
red green blue yellow purple violet cyan pink black white gray grey brown beige big small large little tiny huge tall short long wide narrow
thin thick heavy dark bright shiny empty full closed old new clean dirty round wooden metallic transparent soft hard
"""
ADJECTIVES = frozenset(_ADJECTIVES.split())
"""Frequent adjectives. As the last word of a name they miss their noun, as in "the red and blue boxes"."""
_FOREIGN = """
el la los las una unos der das den dem ein eine einen einem le les une des du au aux il lo gli uno della dello del een het und et y e oder
avec mit sur auf dans im zu von vom links rechts izquierda derecha gauche droite sinistra destra oben unten
"""
FOREIGN = frozenset(_FOREIGN.split())
"""Frequent words of other languages that are no English nouns."""
EXAMPLES = {
    "NAME": "a name such as red mug",
    "GENERIC": "objects",
    "EVERYTHING": "everything",
    "THE": "the",
    "A": "a",
    "ALL": "all",
    "EVERY": "every",
    "BOTH": "both",
    "NUMBER": "a number",
    "ORDINAL": "an ordinal such as second",
    "RELATION": "a relation such as left of",
    "DISTANCE": "closer than",
    "BETWEEN": "between",
    "ORDER": "an order such as largest",
    "ORDER_TO": "nearest to",
    "SIDE": "from the left",
    "PLACE": "on the left",
    "THAT_IS": "that is",
    "NOT": "not",
    "EXCEPT": "except",
    "AND": "and",
    "COMMA": "a comma",
    "OPEN": "(",
    "CLOSE": ")",
    "OF": "of",
    "TO": "to",
    "FROM": "from",
    "UNIT": "m, cm or mm",
    "ONE": "one",
    "ONES": "ones",
    "$END": "the end",
}
"""Terminal -> words for a message on what the grammar reads."""
