"""What to say when training or prediction is no longer finite."""

import torch
from skorch.dataset import unpack_data

_ADVICE = (
    "Lower the learning rate (lr of DHONet, net__lr of DHOClassifier); X may also contain large "
    "values and need to be preprocessed, by StandardScaler say."
)


class SpoiledWeights(ValueError):
    """The weights are not finite any more; an earlier batch may be the cause."""


def check_step(net, step, batch):
    """Refuse to go on from a loss that is not finite, naming the row if one is the cause."""
    if torch.isfinite(step["loss"]):
        return
    start = f"The loss is {step['loss'].item()} {_where(net)}"
    if not _all_finite(net.module_.parameters()):
        raise SpoiledWeights(f"{start}: the weights are not finite any more")
    rows, _ = unpack_data(batch)
    cause = _bad_input(rows)
    if cause is None and not _finite_rows(step["y_pred"]).all():
        cause = _outlier(_largest(rows), rows)
    if cause is None:
        temperature = getattr(net.criterion_, "temperature", None)
        cause = (
            f"neither the weights nor a single row of X are to blame. {_ADVICE} If that does not "
            f"help, look at the loss, criterion={type(net.criterion_).__name__}"
        )
        cause += "." if temperature is None else f" with temperature={temperature}."
    raise ValueError(f"{start}: {cause}")


def check_network(net):
    """Refuse weights that are not finite, at the end of training, by `SpoiledWeights`."""
    if not _all_finite([*net.module_.parameters(), *net.module_.buffers()]):
        raise SpoiledWeights(f"Training gave weights that are not finite {_where(net)}")


def explain_weights(net, dataset):
    """Find out what may have spoiled the weights, by one more pass over the rows of training."""
    found = [unpack_data(batch)[0] for batch in net.get_iterator(dataset)]
    for rows in found:
        if (cause := _bad_input(rows)) is not None:
            return cause
    if not all("row" in rows for rows in found):
        return _ADVICE
    largest = torch.cat([_largest(rows) for rows in found])
    places = torch.cat([rows["row"] for rows in found])
    return _outlier(largest, {"row": places}) or _ADVICE


def check_outputs(outputs, batch):
    """Refuse outputs of a trained network that are not finite, naming the first such row."""
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    # One number for all: a look at each comes only when that is not finite.
    if torch.isfinite(sum(output.sum() for output in outputs)):
        return
    bad = ~_finite_rows(outputs)
    if not bad.any():
        return
    rows, _ = unpack_data(batch)
    raise ValueError(
        f"The student's output is not finite for {_name(rows, bad)} ({int(bad.sum())} of the "
        f"{len(bad)} rows of this batch). Look at that row for missing or very large values, and "
        f"scale X as in fit; if all rows are so, fit again with a lower learning rate."
    )


def _where(net):
    # History counts the epochs of all calls of partial_fit.
    return f"in epoch {len(net.history)} at a learning rate of {net.rate_:.3g}"


def _all_finite(tensors):
    return all(bool(torch.isfinite(t).all()) for t in tensors if t.is_floating_point())


def _finite_rows(tensors):
    """Tell which rows are finite in all of the tensors."""
    rows = [torch.isfinite(tensor.detach()).flatten(1).all(dim=1) for tensor in tensors]
    return torch.stack(rows).all(dim=0)


def _bad_input(rows):
    """Name the first row whose input is not finite, or return None."""
    for name in ("X", "teacher_proba"):
        if name in rows and not (finite := _finite_rows([rows[name]])).all():
            return f"{name} is not finite in {_name(rows, ~finite)}. Mend the row, or leave it out."
    return None


def _largest(rows):
    return rows["X"].abs().flatten(1).amax(dim=1)


# What makes a row an outlier: numbers orders beyond those of the usual row, as of a mistaken unit,
# and large by themselves.
_BEYOND, _HUGE = 1e6, 1e10


def _outlier(largest, rows):
    """Name the first row whose numbers are of another order than the others, or return None."""
    bad = largest > max(_BEYOND * float(largest.median()), _HUGE)
    if not bad.any():
        return None
    return (
        f"the network overflows, as {_name(rows, bad)} holds numbers up to "
        f"{float(largest[_first(rows, bad)]):.3g}. Mend the row, or scale X, by StandardScaler say."
    )


def _name(rows, bad):
    """Name the first bad row by its place in X, which the data set tells."""
    first = _first(rows, bad)
    return f"row {int(rows['row'][first])} of X" if "row" in rows else f"row {first} of a batch"


def _first(rows, bad):
    """Return where in the batch the bad row is that comes first in X."""
    places = torch.nonzero(bad)[:, 0]
    if "row" not in rows:
        return int(places[0])
    return int(places[rows["row"][places].argmin()])
