# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Random sentences that no grammar of noun phrases can read. Each holds a word, an order of words or an end that has no meaning in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_COLORS = ("red", "blue", "green", "yellow")
_SHAPES = ("circle", "star", "square", "cross", "heart", "object")
_RELATIONS = ("left of", "right of", "above", "below", "on", "in", "next to", "nearest to", "behind", "in front of")
_OUTSIDE = (
    *("quickly", "yesterday", "he", "she", "who", "jumped", "sparkle", "why", "was", "will", "opposite", "diagonally", "almost", "maybe"),
    *("juggle", "bounced", "without", "whom", "tomorrow", "beneathish", "touching", "facing", "around", "through", "unless", "because"),
    *("my", "yours", "those", "these", "never", "sometimes", "twice", "gleefully", "painted", "resembles", "ate", "orbiting", "via"),
    *("someone", "whose", "should", "if", "than", "as", "until", "it", "them", "pick", "throw", "mine", "half", "most", "some", "zwei"),
)
"""Words that are neither names in the toy world nor part of the grammar."""
_FOREIGN = (
    "der rote kreis links vom stern",
    "alle kreise außer dem roten",
    "zwei von den roten kreisen",
    "le cercle rouge à gauche de l'étoile",
    "tous les objets sauf le cercle",
    "el círculo rojo a la izquierda de la estrella",
    "todos los objetos que no son rojos",
    "il cerchio rosso a sinistra della stella",
    "de rode cirkel links van de ster",
    "红色圆圈在星星的左边",
    "星の左の赤い円",
    "красный круг слева от звезды",
)
_ACTIONS = (
    "the {a} he just put down",
    "the {a} that was behind the {b}",
    "what is left of the {b}?",
    "where is the {a}",
    "throw the {a} at the {b}",
    "is the {a} red",
    "the {a} which moves fastest",
    "the {a} holding the {b}",
    "the {a} of the {b}",
    "neither the {a} nor the {b}",
    "either the {a} or the {b}",
    "the {a} or the {b}",
    "some {a}s",
    "most of the {a}s",
    "no {a}",
    "fewer than three {a}s",
    "the {a} two centimeters left of the {b}",
    "the {a} I like",
    "more {a}s than {b}s",
    "the same {a} as before",
    "the {a} if the {b} is red",
    "second {a}",
    "the {a} left of itself",
    "every {a}s",
    "all {a}",
    "the largest leftmost {a}",
    "the {a} from the left",
    "zero {a}s",
    "the {a} between the {b}",
    "1.5 {a}s",
    "the largest {a}s",
    "ones",
    "the tallest {a}",
    "the {a} closer than 3 bananas",
)


def _name(rng: np.random.Generator) -> str:
    return f"{rng.choice(_COLORS)} {rng.choice(_SHAPES)}" if rng.random() < 0.6 else str(rng.choice(_SHAPES))


def _sentence(rng: np.random.Generator) -> str:
    """Return a sentence that the grammar reads."""
    head = rng.choice(["the", "a", "every", "track the", "the largest", "the leftmost"])
    text = f"{head} {_name(rng)}"
    for _ in range(int(rng.integers(0, 3))):
        text += f" {rng.choice(_RELATIONS)} the {_name(rng)}"
    return text


def _with_outside_word(rng: np.random.Generator) -> str:
    words = _sentence(rng).split()
    position = int(rng.integers(0, len(words) + 1))
    return " ".join([*words[:position], str(rng.choice(_OUTSIDE)), *words[position:]])


def _replaced_word(rng: np.random.Generator) -> str:
    words = _sentence(rng).split()
    words[int(rng.integers(0, len(words)))] = str(rng.choice(_OUTSIDE))
    return " ".join(words)


def _salad(rng: np.random.Generator) -> str:
    pool = [*_OUTSIDE, *_COLORS, *_SHAPES, "the", "a", "of", "left", "not", "and", "second", "all", "between"]
    words = [str(word) for word in rng.choice(pool, int(rng.integers(3, 12)))]
    words.insert(int(rng.integers(0, len(words))), str(rng.choice(_OUTSIDE)))
    return " ".join(words)


def _cut_off(rng: np.random.Generator) -> str:
    return f"{_sentence(rng)} {rng.choice(_RELATIONS)}{rng.choice(['', ' the', ' a', ' the second', ' the largest'])}"


def _doubled(rng: np.random.Generator) -> str:
    first, second = rng.choice(_RELATIONS, 2)
    return str(
        rng.choice(
            [
                f"the {_name(rng)} {first} {second} the {_name(rng)}",
                f"the the {_name(rng)}",
                f"the {_name(rng)} the {_name(rng)}",
                f"{first} the {_name(rng)}",
                f"the {_name(rng)} and and the {_name(rng)}",
                f"the {_name(rng)} {first} the {_name(rng)})",
                f"every all {_name(rng)}",
                f"the not {_name(rng)}",
            ]
        )
    )


def _nonsense(rng: np.random.Generator) -> str:
    letters = "bdfgklmnprstvz"
    words = ["".join(f"{rng.choice(list(letters))}{rng.choice(list('aeiou'))}" for _ in range(int(rng.integers(2, 4)))) for _ in range(4)]
    return " ".join(["the", *words[: int(rng.integers(1, 5))]])


def _action(rng: np.random.Generator) -> str:
    a, b = rng.choice(_SHAPES, 2)
    return str(rng.choice(_ACTIONS)).format(a=a, b=b).replace("crosss", "crosses")


def _foreign(rng: np.random.Generator) -> str:
    return str(rng.choice(_FOREIGN))


KINDS: dict[str, Callable[[np.random.Generator], str]] = {
    "a word too many": _with_outside_word,
    "a word replaced": _replaced_word,
    "words at random": _salad,
    "cut off": _cut_off,
    "wrong order": _doubled,
    "no words of English": _nonsense,
    "other languages": _foreign,
    "questions, actions, tenses, contradictions": _action,
}
"""Kind of a sentence -> function that draws one."""


def draw_sentences(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return random sentences, each with its kind; all kinds are equally frequent.

    Args:
        count: number of sentences.
        seed: seed of the sentences.
    """
    rng = np.random.default_rng([seed, 24])
    return [(kind, KINDS[kind](rng)) for kind in (list(KINDS)[index % len(KINDS)] for index in range(count))]
