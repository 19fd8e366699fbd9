"""What a generative model reads: prompts of rows, and the tokens of answers."""

import inspect

from ..encoders._read_image import open_image, reason
from ._prompted_teacher import fill_prompt

_TAIL = 40  # characters of a prompt's end that decide how an answer after it is cut into tokens


class Unreadable(ValueError):
    """A row that the model cannot read; the text says why."""


class PromptWriter:
    """Turn rows into the inputs of a model.

    ``template(kind)`` is a prompt with the place of a text; `chat` puts the model's own chat
    template around it.
    """

    def __init__(self, loaded, template, names, chat, system, chat_kwargs):
        self.loaded, self.template, self.names = loaded, template, names
        self.chat, self.system, self.chat_kwargs = chat, system, chat_kwargs or {}
        if chat:
            self._check_chat()

    def inputs(self, kind, item, room=0):
        """Return the tensors of one row, which leave room for so many tokens of an answer."""
        if kind == "image":
            try:
                image = open_image(item)
            except Exception as error:  # PIL lets almost anything escape
                raise Unreadable(reason(item, error)) from None
            inputs = self._tokens(self.write("image"), image)
        else:
            inputs = self._tokens(self.write("text", item))
        length, limit = inputs["input_ids"].shape[1] + room, self._limit()
        if limit is not None and length > limit:
            raise Unreadable(
                f"{length:,} tokens with its prompt, but the model takes {limit:,}: shorten it"
            )
        return inputs

    def empty(self, kind):
        """Return the tensors of a row that says nothing: an empty text, or no image."""
        if kind == "text":
            return self._tokens(self.write("text", ""))
        return self._tokens(self.write("image", shown=False))

    def answers(self, kind, end):
        """Return the tokens of each class name, as they follow a prompt.

        `end` adds the token that ends an answer; "auto" where one answer would begin as another.
        """
        answers = [self._answer(kind, name) for name in self.names]
        for name, answer in zip(self.names, answers, strict=True):
            if not answer:
                raise ValueError(f"the class name {name!r} has no token in the model's vocabulary")
        if end == "auto":
            end = any(
                one is not other and other[: len(one)] == one
                for one in answers
                for other in answers
            )
        if end:
            stop = self.loaded.tokenizer.eos_token_id
            if stop is None:
                raise ValueError(
                    "the model has no token that ends an answer (eos_token), which end_token asks "
                    "for: set end_token=False, or names of which none begins as another"
                )
            answers = [[*answer, stop] for answer in answers]
        for one in range(len(answers)):
            for other in range(one):
                if answers[one] == answers[other]:
                    raise ValueError(
                        f"the classes {self.names[other]!r} and {self.names[one]!r} have the same "
                        "tokens in the model's vocabulary: give each a name of its own"
                    )
        return answers

    def write(self, kind, text=None, shown=True):
        """Write the prompt of a row as the model reads it."""
        prompt = fill_prompt(self.template(kind), text=text or "", classes=", ".join(self.names))
        if not self.chat:
            return self._image_token() + prompt if kind == "image" and shown else prompt
        content = prompt
        if self.loaded.kind == "vision":
            content = [{"type": "text", "text": prompt}]
            content = [{"type": "image"}, *content] if kind == "image" and shown else content
        messages = [{"role": "user", "content": content}]
        if self.system is not None:
            words = self.system
            if self.loaded.kind == "vision":
                words = [{"type": "text", "text": words}]
            messages = [{"role": "system", "content": words}, *messages]
        return self._chat(messages)

    def _chat(self, messages):
        from jinja2 import TemplateError

        try:
            return (self.loaded.processor or self.loaded.tokenizer).apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False, **self.chat_kwargs
            )
        except TemplateError as error:
            raise ValueError(
                f"the chat template of the model cannot be used ({error}): set chat=False"
                + (", or leave system= out" if self.system is not None else "")
            ) from None

    def _check_chat(self):
        """Refuse a chat template that leaves out what the model is to read."""
        probe = "skactivekd7"
        written = "".join(self.write("text", probe).split())
        for what, words in (("texts of rows", probe), ("system=", self.system or "")):
            if "".join(words.split()) not in written:
                raise ValueError(
                    f"the chat template of the model leaves the {what} out: set chat=False, and "
                    "put all into prompt="
                )

    def _tokens(self, text, image=None):
        # A chat template writes the special tokens itself.
        special = {"add_special_tokens": not self.chat}
        if self.loaded.kind == "vision":
            images = {} if image is None else {"images": [image]}
            inputs = self.loaded.processor(text=[text], **images, return_tensors="pt", **special)
        else:
            inputs = self.loaded.tokenizer(text, return_tensors="pt", **special)
        inputs = {name: inputs[name] for name in inputs if hasattr(inputs[name], "shape")}
        if "token_type_ids" not in inspect.signature(self.loaded.model.forward).parameters:
            inputs.pop("token_type_ids", None)
        if self.loaded.kind != "vision":
            inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        return self._without_end(inputs) if not self.chat else inputs

    def _without_end(self, inputs):
        """Drop the token that ends a text where the answer is to go on from it."""
        ids, stop = inputs["input_ids"], self.loaded.tokenizer.eos_token_id
        if self.loaded.kind == "seq2seq" or ids.shape[1] < 2 or int(ids[0, -1]) != stop:
            return inputs
        length = ids.shape[1]
        return {
            name: tensor[:, :-1] if tensor.ndim == 2 and tensor.shape[1] == length else tensor
            for name, tensor in inputs.items()
        }

    def _answer(self, kind, name):
        tokenizer = self.loaded.tokenizer
        if self.loaded.kind == "seq2seq":
            return list(tokenizer(text_target=name, add_special_tokens=False)["input_ids"])
        tail = self.write(kind, "")[-_TAIL:]
        space = "" if self.chat or not tail or tail[-1].isspace() else " "
        before, whole, alone = (
            list(tokenizer(text, add_special_tokens=False)["input_ids"])
            for text in (tail, tail + space + name, space + name)
        )
        # Some vocabularies write a word after another one otherwise than at the start.
        return whole[len(before) :] if before and whole[: len(before)] == before else alone

    def _image_token(self):
        token = getattr(self.loaded.processor, "image_token", None)
        if token is None:
            raise ValueError(
                "the model has neither a chat template nor an image_token, so that nobody knows "
                "where it wants the image: put its chat_template.jinja into the folder"
            )
        return f"{token}\n"

    def _limit(self):
        if self.loaded.kind == "seq2seq":
            return getattr(self.loaded.model.config, "max_position_embeddings", None)
        config = self.loaded.model.config
        config = config.get_text_config() if hasattr(config, "get_text_config") else config
        return getattr(config, "max_position_embeddings", None)


def has_chat_template(loaded):
    """Tell whether a model brings a chat template."""
    own = getattr(loaded.processor, "chat_template", None) or loaded.tokenizer.chat_template
    return bool(own)
