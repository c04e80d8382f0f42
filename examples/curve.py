"""Where will this run end, and when does it reach a target loss?

python examples/curve.py [folder]
"""

from lossband.studies import curve, tell

if __name__ == "__main__":
    tell(curve)
