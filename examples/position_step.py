"""At which step does a token index stop improving?

python examples/position_step.py [folder]
"""

from lossband.studies import position_step, tell

if __name__ == "__main__":
    tell(position_step)
