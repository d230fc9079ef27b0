"""A question before a picture that surprises, with buttons for what a reader expects."""

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from ..plot import bundle


def predict(question: str, choices: Sequence[str], answer: str, fig: Figure | None = None) -> "Prediction":
    """Ask what a reader expects to see; the choice is answered by a sentence and, if there is one, by the picture.

    Args:
        question: what to look for.
        choices: two or more answers, each on a button.
        answer: one sentence that is true whatever was chosen: what the picture shows.
        fig: the picture, which stands in the next cell too, for those who only read.

    Errors: ValueError if there are fewer than two choices.

    >>> guess = predict("Which falls faster?", ["the feather", "the stone"], "On the moon both fall alike.")
    >>> guess
    Which falls faster? (the feather / the stone)
    >>> guess.choose("the stone")
    >>> guess.said
    'You expected: the stone. On the moon both fall alike.'
    """
    return Prediction(question, choices, answer, fig)


class Prediction(widgets.VBox):
    """The widget of `predict`; ``said`` is empty until a choice is made.

    >>> [button.description for button in Prediction("Up or down?", ["up", "down"], "It goes up.", None).buttons]
    ['up', 'down']
    """

    def __init__(self, question: str, choices: Sequence[str], answer: str, fig: Figure | None) -> None:
        if isinstance(choices, str) or len(choices) < 2:
            raise ValueError(f"choices must be two words or more, got {choices!r}")
        self.question, self.choices, self.answer, self.said = question, tuple(choices), answer, ""
        self._png = bundle(fig, answer)[0]["image/png"] if fig else None
        self._words = widgets.HTML()
        self._picture = widgets.Image(format="png", layout=widgets.Layout(display="none", max_width="100%"))
        fit = widgets.Layout(width="auto")
        self.buttons = [widgets.Button(description=choice, layout=fit) for choice in self.choices]
        for button in self.buttons:
            button.on_click(lambda clicked: self.choose(clicked.description))
        row = widgets.Box(self.buttons, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([widgets.HTML(f"<b>{html.escape(question)}</b>"), row, self._words, self._picture])

    def choose(self, choice: str) -> None:
        """Answer a choice, as a click on its button does.

        Errors: ValueError if it is not one of the choices.
        """
        if choice not in self.choices:
            raise ValueError(f"choice must be one of {', '.join(self.choices)}, got {choice!r}")
        self.said = f"You expected: {choice}. {self.answer}"
        self._words.value = f'<div role="status">{html.escape(self.said)}</div>'
        if self._png:
            self._picture.value, self._picture.layout.display = self._png, ""

    def __repr__(self) -> str:
        return f"{self.question} ({' / '.join(self.choices)})"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return (super()._repr_mimebundle_(**options) or {}) | {"text/plain": repr(self)}
