"""The best aspect ratio of public models.

The gemstones, 20 of width 256 to 3072 and depth 3 to 80, at equal tokens.

    python -m benchmarks.shapes [folder]

Decayed checkpoints at 88 billion tokens; parameters without embeddings; aspect ratio is d_model / n_layer.
"""

import sys

import pandas as pd

from lossband.studies import shape

from .sets import DATA, GPT_NEOX_VOCABULARY

TOKENS = 88e9


def gemstones(data=DATA):
    """One row a model.

    Run, params, the size class that the figure shows together, aspect_ratio, loss in nats per token.
    """
    rows = pd.read_csv(data / "gemstones.csv")
    rows = rows[(rows.phase == "cooldown_end") & (rows.tokens.round(-9) == TOKENS)]
    params = rows.params - float(GPT_NEOX_VOCABULARY) * rows.d_model
    size = pd.cut(params, (0, 2e8, 7e8, 1.4e9, 3e9), labels=("35M to 97M", "0.45B", "0.95B", "1.8B")).astype(
        str
    )
    return rows[["run", "loss"]].assign(params=params, size=size, aspect_ratio=rows.d_model / rows.n_layer)


def main():
    answer = shape(gemstones(), seed=0)
    print(answer)
    if len(sys.argv) > 1:
        answer.save(sys.argv[1])


if __name__ == "__main__":
    main()
