"""What a person is asked."""

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Question:
    """A row of X that a person is asked about.

    .. versionadded:: 0.1

    Parameters
    ----------
    index : int
        Its place in the X that the session was given.
    key : str
        What it is known by, in every sitting.
    source : {"strategy", "audit", "confirm", "review"}
        Why it is asked.
    suggestions : list of (class, probability)
        The likeliest classes first; empty where a person is to answer unbiased.
    copies : list of int
        Other rows of the same content: the answer is theirs too.
    label : str, int or None
        What it is labeled now, where that is in question.

    See Also
    --------
    LabelingSession.ask : Asks.

    Examples
    --------
    >>> from skactivekd.session import Question
    >>> Question(3, "text-5eed", "strategy", [("cat", 0.9)]).to_dict()["suggestions"]
    [['cat', 0.9]]
    """

    index: int
    key: str
    source: str
    suggestions: list = field(default_factory=list)
    copies: list = field(default_factory=list)
    label: object = None

    def to_dict(self):
        """Return it as a dict of what JSON knows.

        Returns
        -------
        question : dict
        """
        pairs = [list(pair) for pair in self.suggestions]
        return {**asdict(self), "suggestions": pairs}
