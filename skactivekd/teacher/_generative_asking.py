"""One call to a generative model: rows that are not known go through it."""

import numpy as np

from ..utils._asked_rows import count_asked
from ..utils._row_identity import RowKeys, text_keys
from ._ask_once import ask_once
from ._generative_inputs import PromptWriter, Unreadable, has_chat_template


class Asking:
    """One call: rows that are not known go through the model."""

    def __init__(self, teacher, rows):
        self.teacher, self.rows, self.bad = teacher, rows, dict(rows.bad)

    def ask(self, positions, _):
        """Compute likelihoods and lengths of some rows; nan where they are skipped."""
        from ._generative_models import LOCK

        with LOCK:
            loaded, writer, answers = self._open()
            inputs = self._read(positions, writer, max(map(len, answers)))
            count_asked(len(inputs))
            found = np.full((len(positions), 2 * len(answers)), np.nan, dtype=np.float32)
            if inputs:
                found[list(inputs)] = self._compute(loaded, list(inputs.values()), answers)
        for place in inputs:
            if not np.isfinite(found[place]).all():
                found[place] = np.nan
                self.bad[positions[place]] = "the model gives it nan; set precision='fp32'"
        return found

    def _read(self, positions, writer, room):
        """Return what the model reads of each place.

        Once a row is bad that is to raise, the others are only looked at, to name all bad ones.
        """
        inputs, strict = {}, self.teacher.on_error == "raise"
        for place, row in enumerate(positions):
            if row in self.rows.bad:
                continue
            try:
                made = writer.inputs(self.rows.kind, self.rows[row], room)
            except Unreadable as error:
                self.bad[row] = str(error)
                continue
            if not (strict and self.bad):
                inputs[place] = made
        return {} if strict and self.bad else inputs

    def prior(self, store):
        """Return the likelihoods of a row that says nothing."""
        from ._generative_models import LOCK

        def ask(positions, _):
            with LOCK:
                loaded, writer, answers = self._open()
                return self._compute(loaded, [writer.empty(self.rows.kind)], answers)

        fingerprint = self.teacher._likelihood_fingerprint()
        owner = self.teacher._owner("predict_proba", f"{fingerprint} of nothing")
        keys = RowKeys(text_keys([self.rows.kind]).keys, {}, None)
        found = ask_once(owner, keys, ask, store, batch_size=1)
        return found[:, : len(self.teacher.classes_)]

    def _compute(self, loaded, inputs, answers):
        import torch

        from .._devices_and_seeds import own_settings
        from ._generative_likelihood import answer_likelihoods

        lengths = np.tile([len(answer) for answer in answers], (len(inputs), 1))
        with own_settings(), torch.inference_mode():
            found = answer_likelihoods(loaded, inputs, answers, self.teacher.batch_size)
        return np.column_stack([found, lengths])

    def _open(self):
        from .._devices_and_seeds import resolve_device
        from ._generative_models import load, resolve_precision

        teacher = self.teacher
        device = resolve_device(teacher.device)
        loaded = load(teacher._folder(), resolve_precision(teacher.precision, device), device)
        if self.rows.kind == "image" and loaded.kind != "vision":
            raise TypeError("the rows of X are images, but the model reads texts alone")
        chat = has_chat_template(loaded) if teacher.chat == "auto" else teacher.chat
        if chat and not has_chat_template(loaded):
            raise ValueError("chat=True, but the model has no chat template; set chat=False")
        if teacher.system is not None and not chat:
            raise ValueError(
                "system= is for chats, but no chat template is used: put it in prompt="
            )
        writer = PromptWriter(
            loaded,
            lambda kind: teacher._template(kind, chat),
            teacher.class_names_,
            chat,
            teacher.system,
            teacher.chat_kwargs,
        )
        return loaded, writer, writer.answers(self.rows.kind, teacher.end_token)
