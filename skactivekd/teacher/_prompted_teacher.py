"""What teachers share that are asked in words: prompts, names of classes, rows that are skipped."""

import re

from ..cache._encoder_identity import named_owner
from ..encoders._unreadable_rows import report
from ..utils._check_params import WrongParameter
from ..utils._own_fingerprint import fingerprint_of
from ._embedding_teacher import Teacher
from ._prompts import name_classes

_PLACES = re.compile(r"\{(text|menu|classes)\}")
# What somebody writes who means a place; other braces may be about mathematics or JSON.
_MEANT = re.compile(
    r"(?i)\{\s*(|0|texts?|menu|class|classes|labels?|names?|images?|rows?|options|inputs?)\s*\}"
)


class PromptedTeacher(Teacher):
    """Base of teachers that are asked in words.

    A subclass has `classes`, `prompt` and `missing_label`.
    """

    _places = ("{text}",)  # that a prompt may have

    def __sklearn_tags__(self):
        """Declare what input is taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        return tags

    def _fit_classes(self):
        labels, names = name_classes(self.classes, self.missing_label)
        for label, name in zip(labels.tolist(), names, strict=True):
            if name != name.strip() or re.search(r"[\r\n]", name) or not name.strip():
                raise ValueError(
                    f"the name of class {label!r} is {name!r}: it must be one line without "
                    "spaces around it"
                )
            twins = [other for other in names if other.casefold() == name.casefold()]
            if len(twins) > 1:
                raise ValueError(
                    f"two classes are called {twins[0]!r} and {twins[1]!r}, which no model can "
                    "tell apart: give each a name of its own, as {label: name}"
                )
        if len(labels) < 2:
            raise ValueError(f"classes has the one class {names[0]!r}: there is nothing to ask")
        self.classes_, self.class_names_ = labels, names

    def _check_prompt(self):
        if self.prompt is not None and (
            not isinstance(self.prompt, str) or not self.prompt.strip()
        ):
            raise WrongParameter(f"prompt={self.prompt!r} must be a question, as a str, or None")
        for found in _MEANT.finditer(self.prompt or ""):
            if found[0] not in self._places:
                raise WrongParameter(
                    f"prompt has {found[0]}, which would be sent as it stands: the places of a "
                    f"{type(self).__name__} are {' and '.join(self._places)}"
                )

    def _place_text(self, prompt, kind):
        """Put the place of a row's text into a prompt that has none."""
        if kind == "image" and "{text}" in prompt:
            raise ValueError("prompt has {text}, but the rows of X are images: leave it out")
        if kind == "text" and "{text}" not in prompt:
            return "{text}\n\n" + prompt
        return prompt

    def _owner(self, method, fingerprint=None):
        """Name under which answers are kept, by what they depend on."""
        whole = fingerprint_of(self, (method,))
        if whole is None:
            raise TypeError(
                f"{type(self).__name__} overrides methods of its base, whose fingerprint() knows "
                "nothing of them: give it a fingerprint() of its own, or set cache=False"
            )
        return named_owner(self, method, whole if fingerprint is None else fingerprint)

    def _settle(self, proba, bad, rows, problem):
        """Raise for bad rows, or make them uniform and warn; named are all their places."""
        if bad:
            keys = rows.keys.keys
            reasons = {keys[row]: reason for row, reason in bad.items()}
            places = {row: reasons[key] for row, key in enumerate(keys) if key in reasons}
            if self.on_error == "raise":
                raise rows.error(places, problem)
            report(places, rows.error.noun)
            proba[list(places)] = 1 / len(self.classes_)
        return proba


def fill_prompt(prompt, **filled):
    """Put texts into the places of a prompt; a place within a text is no place."""
    return _PLACES.sub(lambda place: filled.get(place[1], place[0]), prompt)
