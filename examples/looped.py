"""By how much does the prediction sit above the real loss of larger looped models?

python examples/looped.py [folder]
"""

from lossband.studies import looped, tell

if __name__ == "__main__":
    tell(looped)
