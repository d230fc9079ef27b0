"""Networks that look before they sum up, convolution and attention, and a text to learn spelling from."""

import torch
from torch import Tensor, nn

from .data import of_scikit_learn


def small_cnn(seed: int = 0) -> nn.Sequential:
    """A convolutional network for the `digits` in float64, the same one for the same ``seed``.

    >>> net = small_cnn()
    >>> sum(p.numel() for p in net.parameters()), net(torch.zeros(3, 64, dtype=torch.float64)).shape
    (1898, torch.Size([3, 10]))
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 8, 3, padding=1, dtype=torch.float64),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1, dtype=torch.float64),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 10, dtype=torch.float64),
        )


def descriptions() -> tuple[Tensor, str]:
    """A text in English to learn spelling from: the number of each character in turn, and the alphabet.

    It is what scikit-learn says about its data sets, one after the other by the names of their files.

    >>> text, alphabet = descriptions()
    >>> len(alphabet), "".join(alphabet[letter] for letter in text[28:51])
    (92, 'Breast cancer Wisconsin')
    """
    told = sorted(of_scikit_learn("datasets", "descr").glob("*.rst"))
    text = "".join(path.read_text("utf-8") for path in told)
    alphabet = "".join(sorted(set(text)))
    return torch.tensor([alphabet.index(letter) for letter in text]), alphabet


def windows(text: Tensor, length: int = 32) -> tuple[Tensor, Tensor]:
    """Every piece of a text, and the letter that follows each letter in it: two views ``[n, length]``.

    >>> pieces, following = windows(torch.arange(5), 3)
    >>> pieces.tolist(), following.tolist()
    ([[0, 1, 2], [1, 2, 3]], [[1, 2, 3], [2, 3, 4]])
    """
    pieces = text.unfold(0, length + 1, 1)
    return pieces[:, :-1], pieces[:, 1:]


def speller(letters: int, seed: int = 0) -> "Speller":
    """A `Speller` in float32, the same one for the same ``seed``.

    >>> net = speller(92)
    >>> sum(p.numel() for p in net.parameters())
    64028
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Speller(letters).float()


class Speller(nn.Module):
    """A transformer of one block that gives a score to each letter that may come next.

    Args:
        letters: how many there are in the alphabet.
        width: of the vector that stands for a letter.
        length: of the longest piece of text.
        heads: how many views of what came before, each ``width / heads`` wide.

    Source: A. Vaswani et al. 2017, Attention is all you need, arXiv 1706.03762; with the normalizations before the
    layers.

    >>> Speller(92)(torch.zeros(5, 32, dtype=torch.int64)).shape
    torch.Size([5, 92, 32])
    """

    def __init__(self, letters: int, width: int = 64, length: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.letter = nn.Embedding(letters, width)
        self.place = nn.Embedding(length, width)
        self.ask, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.score = nn.Linear(width, letters)

    def forward(self, pieces: Tensor) -> Tensor:
        """Scores ``[n, letters, length]`` of what follows each letter of ``pieces``, ``[n, length]``."""
        x = self.letter(pieces) + self.place.weight[: pieces.shape[1]]
        q, k, v = self.ask(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        later = torch.ones(q.shape[-2:-1] * 2, dtype=torch.bool, device=q.device).triu(1)
        weights = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(later, -torch.inf).softmax(-1)
        x = x + self.mix((weights @ v).transpose(1, 2).flatten(2))
        x = x + self.think(x)
        return self.score(self.after(x)).transpose(1, 2)
