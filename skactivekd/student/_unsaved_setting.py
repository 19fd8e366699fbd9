"""The place of a setting that could not be saved without pickle."""


class LeftOut:
    """Stand in for a setting that was left out of a saved model.

    The model predicts without it. Training would silently be another one, so
    that `refuse_left_out` asks for it first.

    Parameters
    ----------
    description : str
        What it was.
    """

    def __init__(self, description):
        self.description = description

    def __repr__(self):
        return f"<left out of the saved model: {self.description}>"

    def __eq__(self, other):
        return isinstance(other, LeftOut) and self.description == other.description

    __hash__ = None

    def __bool__(self):
        # As None does, to skorch: no callbacks, no split.
        return False


def refuse_left_out(classifier, keep=False):
    """Refuse to train a loaded model whose settings were not all saved, naming them.

    With `keep` the weights that are there go on, for which no backbone is needed.
    """
    settings = dict(classifier.get_params(deep=False))
    net = settings["net"]
    if net is not None and not isinstance(net, LeftOut):
        settings |= {f"net__{name}": value for name, value in net.get_params(deep=False).items()}
    missing = {name: value for name, value in settings.items() if isinstance(value, LeftOut)}
    if keep:
        missing.pop("net__module", None)
    if missing:
        listed = "; ".join(f"{name}: {value.description}" for name, value in missing.items())
        raise ValueError(
            f"This model was loaded from files, which do not hold what training needs ({listed}). "
            f"Set it before fit, as set_params({min(missing)}=...)."
        )
