"""A menu of lettered classes, and the probabilities in what a model answers to it."""

import math
import string

import numpy as np

LETTERS = string.ascii_uppercase
_AROUND = string.whitespace + "().:,*\"'`[]" + "\u2581\u0120"  # the last two mark spaces in tokens
_LEAST = -1e6  # of a logprob: its probability is zero
_ROUNDING = 1e-2  # how far the sum of some servers' rounded probabilities lies above 1


class MalformedAnswer(ValueError):
    """A server's answer that does not hold what was asked for; another try may help."""


def menu(names):
    """Write one line for each class: "A. cat"."""
    return "\n".join(f"{letter}. {name}" for letter, name in zip(LETTERS, names, strict=False))


def read_answer(reply):
    """Return the likeliest first tokens of a chat completion: (token, probability).

    A reply of another form is a `MalformedAnswer`; one that is whole, but tells no probabilities,
    a LookupError.
    """
    try:
        choice = reply["choices"][0]
        logprobs = choice["logprobs"]
    except (KeyError, IndexError, TypeError):
        if _is_whole(reply):
            raise LookupError("its answers have no logprobs") from None
        raise MalformedAnswer("an answer without choices[0].logprobs") from None
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not content:
        raise LookupError("its answers have no logprobs")
    try:
        first = content[0]
        # Several tokens may be written alike, as with and without a space before, and all count.
        entries = [(entry["token"], entry["logprob"]) for entry in first["top_logprobs"]]
        shown = list(dict.fromkeys(entries))
        if first["token"] not in [token for token, _ in shown]:
            shown.append((first["token"], first["logprob"]))
    except (KeyError, IndexError, TypeError):
        raise MalformedAnswer("an answer whose top_logprobs cannot be read") from None
    if not first["top_logprobs"]:
        raise LookupError("its answers have no top_logprobs")
    tokens = [(token, _probability(value)) for token, value in shown]
    if sum(probability for _, probability in tokens) > 1 + _ROUNDING:
        raise MalformedAnswer("probabilities of tokens that sum to more than one")
    return tokens


def _is_whole(reply):
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices:
        return False
    return isinstance(choices[0], dict) and "message" in choices[0]


def _probability(value):
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not value <= _ROUNDING:  # nan is not
        raise MalformedAnswer(f"a logprob of {value!r:.40}")
    return math.exp(max(min(value, 0.0), _LEAST))  # an integer may be larger than any float


def letter_probabilities(shown, n_classes):
    """Return the probabilities of the letters, as the notes of `EndpointTeacher` have it.

    A letter has the sum over its spellings. Those not shown share what all shown tokens leave of 1,
    none more than the least shown. An answer without any letter is a `MalformedAnswer`.
    """
    proba = np.zeros(n_classes)
    seen = np.zeros(n_classes, dtype=bool)
    for token, probability in shown:
        letter = token.strip(_AROUND) if isinstance(token, str) else ""
        place = LETTERS.find(letter) if len(letter) == 1 else -1
        if 0 <= place < n_classes:
            proba[place] += probability
            seen[place] = True
    if not proba.sum() > 0:
        tokens = ", ".join(repr(token) for token, _ in shown[:5])
        raise MalformedAnswer(f"no letter of the menu among the likeliest tokens ({tokens})")
    if not seen.all():
        rest = max(1 - sum(probability for _, probability in shown), 0.0)
        least = min(probability for _, probability in shown)
        proba[~seen] = min(rest / (~seen).sum(), least)
    return proba / proba.sum()
