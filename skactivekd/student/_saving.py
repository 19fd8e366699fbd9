"""The student as files."""


class Saving:
    """The part of `DHOClassifier` that writes."""

    def save(self, directory, *, overwrite=False, scores=None, modules=None):
        """Save the fitted student to a folder, without pickle, as `skactivekd.save` does.

        Parameters
        ----------
        directory : str or path
            The folder, made anew: ``model.safetensors``, ``config.json`` and a
            model card. `skactivekd.load` reads it.
        overwrite : bool, default=False
            Replace a saved model that is there.
        scores : dict of str to float, default=None
            What the card should say of its quality.
        modules : dict of str to class, function or torch.nn.Module, default=None
            Backbones that are code of yours, by a name of your choice.

        Raises
        ------
        FileExistsError
            If something is there already.
        ValueError
            If there is a part that has no form but pickle; the message names it.
        """
        from ..persistence import save

        save(self, directory, overwrite=overwrite, scores=scores, modules=modules)

    def export(self, path, X=None, *, overwrite=False):
        """Write the fitted student as one ONNX or torch.export program, as `skactivekd.export`.

        Parameters
        ----------
        path : str or path
            Ends in ``.onnx`` or ``.pt2``.
        X : {array-like, CSR matrix} of shape (n_samples, ...), default=None
            Rows on which the file is compared with ``predict_proba``. None
            draws random ones.
        overwrite : bool, default=False
            Replace a file that is there.

        Raises
        ------
        FileExistsError
            If there is such a file already.
        ValueError
            If the path ends in something else, or the file would predict otherwise.
        """
        from ..persistence import export

        export(self, path, X, overwrite=overwrite)
