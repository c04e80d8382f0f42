"""How does the loss of a token fall with its index, and how will it in a model that was not trained?

python examples/position.py [folder]
"""

from lossband.studies import position, tell

if __name__ == "__main__":
    tell(position)
