"""The public names for editors and checkers; `__init__.py` imports each when it is first used."""

from . import datasets as datasets
from . import laws as laws
from . import model as model
from . import plot as plot
from . import score as score
from .datasets import load_dataset as load_dataset
from .errors import InputError as InputError
from .evaluation.backtest import Backtest as Backtest
from .evaluation.backtest import backtest as backtest
from .evaluation.benchmark import BenchmarkResult as BenchmarkResult
from .evaluation.benchmark import benchmark as benchmark
from .evaluation.compare import average as average
from .evaluation.compare import compare as compare
from .evaluation.learn import learn as learn
from .importers import import_runs as import_runs
from .inference.fit import fit as fit
from .inference.fit import fit_many as fit_many
from .inference.fit import numpyro_model as numpyro_model
from .laws.law import Law as Law
from .laws.law import law as law
from .laws.terms import floor as floor
from .laws.terms import power as power
from .live.watch import Outlook as Outlook
from .live.watch import watch as watch
from .model.drift import Drift as Drift
from .model.noise import Noise as Noise
from .model.population import Population as Population
from .planning.allocation import Plan as Plan
from .planning.next_run import check_design as check_design
from .planning.next_run import next_run as next_run
from .planning.recipes import compare_recipes as compare_recipes
from .posterior.health import Health as Health
from .posterior.netcdf import load as load
from .posterior.posterior import Average as Average
from .posterior.posterior import Posterior as Posterior
from .report import write_report as write_report
from .runs.table import VOCABULARY as VOCABULARY
from .runs.thin import thin as thin

__version__: str
