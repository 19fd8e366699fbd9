"""How likely a generative model finds some answers after a prompt, the prompt computed once."""

import copy
import inspect

import numpy as np
import torch

_IGNORED = -1  # where a padded answer has no token


def answer_likelihoods(loaded, prompts, answers, batch_size):
    """Return the log-likelihoods of answers after prompts, of shape (n_prompts, n_answers).

    A prompt is a dict of one row's tensors, an answer a list of tokens; `batch_size` is the most
    sequences in one forward pass.
    """
    pass_over = {"seq2seq": _after_encoder, "causal": _after_padded, "vision": _after_prompt}
    likelihoods = np.empty((len(prompts), len(answers)), dtype=np.float32)
    for rows in _batches(loaded, prompts, batch_size):
        batch = _join(loaded, [prompts[row] for row in rows])
        batch = {name: tensor.to(loaded.model.device) for name, tensor in batch.items()}
        n_answers = max(1, batch_size // len(rows))
        found = pass_over[loaded.kind](loaded.model, batch, answers, n_answers)
        likelihoods[rows] = found.float().cpu().numpy()
    return likelihoods


def _batches(loaded, prompts, batch_size):
    """Yield rows to compute together: texts of like length, images of the same shapes."""
    groups = {}
    for row, prompt in enumerate(prompts):
        length = prompt["input_ids"].shape[1]
        shapes = sorted((name, tuple(tensor.shape[1:])) for name, tensor in prompt.items())
        key = tuple(shapes) if loaded.kind == "vision" else ()
        groups.setdefault(key, []).append((length, row))
    for group in groups.values():
        rows = [row for _, row in sorted(group)]
        for start in range(0, len(rows), batch_size):
            yield rows[start : start + batch_size]


def _join(loaded, prompts):
    """Join inputs of rows; texts are padded, as decoders want it on the left."""
    if loaded.kind == "vision":
        return {name: torch.cat([prompt[name] for prompt in prompts]) for name in prompts[0]}
    ids = [prompt["input_ids"][0] for prompt in prompts]
    length = max(map(len, ids))
    fill = loaded.tokenizer.pad_token_id or 0  # masked, so that any will do
    padded = torch.full((len(ids), length), fill)
    mask = torch.zeros((len(ids), length), dtype=torch.long)
    for row, own in enumerate(ids):
        place = slice(0, len(own)) if loaded.kind == "seq2seq" else slice(length - len(own), length)
        padded[row, place], mask[row, place] = own, 1
    return {"input_ids": padded, "attention_mask": mask}


def _after_padded(model, batch, answers, k):
    """Likelihoods after prompts of several lengths: positions count from where each begins."""
    positions = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
    return _after_prompt(model, batch, answers, k, positions)


def _after_prompt(model, batch, answers, k, positions=None):
    """Likelihoods after prompts that a decoder reads, whose keys and values all answers share."""
    accepted = inspect.signature(model.forward).parameters
    for module in model.modules():
        if hasattr(module, "rope_deltas"):  # of the batch before
            module.rope_deltas = None
    known = "position_ids" in accepted  # else it counts them by the mask
    places = {} if positions is None or not known else {"position_ids": positions}
    last = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
    out = model(**batch, **places, **last, use_cache=True)
    name = "cache" if "cache" in accepted else "past_key_values"  # its name until transformers 5
    memory = getattr(out, name)
    k = k if hasattr(memory, "batch_repeat_interleave") else 1  # recurrent states have it not
    first = _log_softmax(out.logits[:, -1])
    found = first[:, [answer[0] for answer in answers]]
    longer = [place for place, answer in enumerate(answers) if len(answer) > 1]
    for chosen in _chunks(longer, k):
        tokens, targets = _pad([answers[place] for place in chosen], first.device)
        n, width = len(first), tokens.shape[1]
        part = copy.deepcopy(memory)  # a model may write into it in place
        part.batch_repeat_interleave(len(chosen))
        places = {}
        if positions is not None:
            mask = batch["attention_mask"].repeat_interleave(len(chosen), 0)
            steps = torch.arange(1, width + 1, device=first.device)
            ends = positions[:, -1].repeat_interleave(len(chosen))
            places = {"position_ids": ends[:, None] + steps} if known else {}
            places["attention_mask"] = torch.cat([mask, mask.new_ones(len(mask), width)], dim=1)
        # Without padding everything is seen, and models that count positions by images and
        # texts go on from where they were; until transformers 5 they had to be told.
        if "cache_position" in accepted:
            length = batch["input_ids"].shape[1]
            places["cache_position"] = torch.arange(length, length + width, device=first.device)
        out = model(input_ids=tokens.repeat(n, 1), use_cache=True, **places, **{name: part})
        found[:, chosen] += _gather(out.logits, targets.repeat(n, 1)).reshape(n, -1)
    return found


def _after_encoder(model, batch, answers, k):
    """Likelihoods after prompts that an encoder reads, once for all answers."""
    from transformers.modeling_outputs import BaseModelOutput

    encoded = model.get_encoder()(**batch, return_dict=True).last_hidden_state
    n, mask = len(encoded), batch["attention_mask"]
    start = model.config.decoder_start_token_id
    start = model.generation_config.decoder_start_token_id if start is None else start
    found = encoded.new_empty((n, len(answers)), dtype=torch.float32)
    for places in _chunks(range(len(answers)), k):
        tokens, targets = _pad([[start, *answers[place]] for place in places], mask.device)
        out = model(
            encoder_outputs=BaseModelOutput(encoded.repeat_interleave(len(places), 0)),
            attention_mask=mask.repeat_interleave(len(places), 0),
            decoder_input_ids=tokens.repeat(n, 1),
            use_cache=False,
        )
        found[:, places] = _gather(out.logits, targets.repeat(n, 1)).reshape(n, -1)
    return found


def _chunks(places, size):
    places = list(places)
    return [places[start : start + size] for start in range(0, len(places), size)]


def _pad(answers, device):
    """Return what is read and what is to come, shifted by one, padded on the right."""
    width = max(map(len, answers)) - 1
    tokens = torch.zeros((len(answers), width), dtype=torch.long)
    targets = torch.full((len(answers), width), _IGNORED)
    for row, answer in enumerate(answers):
        tokens[row, : len(answer) - 1] = torch.tensor(answer[:-1])
        targets[row, : len(answer) - 1] = torch.tensor(answer[1:])
    return tokens.to(device), targets.to(device)


def _gather(logits, targets):
    """Sum the log-probabilities of the targets of each sequence."""
    scores = _log_softmax(logits).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return (scores * (targets != _IGNORED)).sum(1)


def _log_softmax(logits):
    return torch.log_softmax(logits.float(), dim=-1)
