"""The pages: their code runs, what they name exists, and every coded note and every law is explained."""

import ast
import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import numpyro
import pytest

import lossband as lb
from lossband.importers import READERS
from lossband.laws import terms
from lossband.laws.law import LAWS
from lossband.runs.arrays import Runs, Unit

matplotlib.use("Agg")
ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "lossband"
SITE = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *SITE]
ON_THE_DESK = (  # in this order, in one folder: the first saves the fit that others load
    *("tutorial", "forecast", "allocation", "watch", "recipes", "next-run", "comparing-laws", "backtest"),
    *("learn", "benchmark", "report", "many-fits"),
)
RUN_BELOW = {"README.md", "docs/tour.md", "docs/writing-a-law.md", "CONTRIBUTING.md"} | {
    f"docs/{page}.md" for page in ON_THE_DESK
}
MOST_WORDS = 900


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page):
    """Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", text_of(page), flags=re.DOTALL)


def run(code, page, names=None):
    """The names that a block leaves behind."""
    names = {"__name__": "page"} | (names or {})
    exec(compile(code, page, "exec"), names)
    return names


def test_every_page_with_code_is_run():
    with_code = {str(page.relative_to(ROOT)) for page in PAGES if blocks(page)}
    assert with_code == RUN_BELOW


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the export that the pages read."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(ROOT / "examples/wandb_export.csv", folder)
    return folder


@pytest.mark.filterwarnings("ignore:.*many figures.*")
@pytest.mark.parametrize("page", ON_THE_DESK)
def test_every_block_of_a_page_runs_and_draws_its_pictures(page, desk, monkeypatch, capsys):
    monkeypatch.chdir(desk)
    names = {}
    for block in blocks(f"docs/{page}.md"):
        names = run(block, page, names)
    plt.close("all")
    pictures = re.findall(r"\(pictures/([\w-]+\.png)\)", text_of(f"docs/{page}.md"))
    assert pictures or page == "benchmark"
    for picture in pictures:
        assert (desk / picture).read_bytes()[:4] == (ROOT / "docs/pictures" / picture).read_bytes()[:4]


def words(page):
    """Words of a page outside its blocks of code."""
    text = re.sub(r"```.*?```|^ {4}.*$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return sum(bool(re.search(r"\w", word)) for word in text.split())


@pytest.mark.parametrize("page", SITE, ids=lambda page: page.stem)
def test_no_page_of_the_site_is_long(page):
    assert words(page) <= MOST_WORDS


def test_every_page_stands_in_the_navigation_once_and_is_linked():
    listed = re.findall(r": ((?:docs/)?[\w/-]+\.md)$", text_of("mkdocs.yml"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(ROOT)) for page in SITE)


def test_every_question_of_the_readme_has_its_page():
    table = text_of("README.md").split("| your question |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(table) >= 11
    for row in table:
        assert re.match(r"\| \[[^]]+\]\(docs/[\w-]+\.md(#[\w-]+)?\) \|", row), row


def test_the_reference_names_objects_that_are_public_and_documented():
    named = {
        name
        for page in SITE
        for name in re.findall(r"^::: lossband\.([\w.]+)$", page.read_text(), re.MULTILINE)
    }
    for name in named:
        module, _, last = name.rpartition(".")
        found = (
            import_module(f"lossband.{name}")
            if name in ("score",)
            else getattr(import_module(f"lossband.{module}"), last)
        )
        assert found.__doc__
    missing = {name for name in lb.__all__ if name not in {each.rpartition(".")[2] for each in named}}
    assert missing <= {"Average", "VOCABULARY", "datasets", "laws", "model", "plot"}


def test_the_readme_is_short_and_its_lines_forecast_a_csv(tmp_path, monkeypatch, capsys, grid):
    monkeypatch.chdir(tmp_path)
    grid[["params", "tokens", "loss"]].to_csv("runs.csv", index=False)
    assert len(text_of("README.md").splitlines()) <= 120
    (block,) = blocks("README.md")
    assert len([line for line in block.splitlines() if line]) <= 6
    post = run(block, "README.md")["post"]
    said = capsys.readouterr().out
    assert "R-hat" in said and "lo_90" in said and post.law.name == "capped"
    assert (tmp_path / "forecast.png").read_bytes()[:4] == b"\x89PNG"


def test_the_lines_of_the_tour_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("docs/tour.md")
    assert 10 <= len(block.strip().splitlines()) <= 20
    names = run(block, "docs/tour.md")
    assert "R-hat" in capsys.readouterr().out
    assert {"lo_90", "hi_90", "extrapolation"} <= set(names["band"])
    assert lb.load("looped.nc").law.name == "looped"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/writing-a-law.md"])
def test_the_law_on_the_page_is_a_law(page):
    (block,) = [block for block in blocks(page) if "@lb.law" in block]
    names = run(block, page, {"lb": lb})
    try:
        assert names["ours"].inputs == ("params", "tokens")
        assert LAWS["ours"] is names["ours"]
    finally:
        LAWS.pop("ours")  # other tests go over every law


@pytest.fixture(scope="module")
def contributed():
    """What the blocks of CONTRIBUTING define, each run by itself, as a newcomer would write them."""
    found = {}
    for block in blocks("CONTRIBUTING.md"):
        found |= run(block, "CONTRIBUTING.md")
    LAWS.pop("ours")
    return found


QUICK = dict(num_warmup=150, num_samples=100, seed=0, progress=False)


def test_the_law_that_contributing_adds_is_fitted_and_takes_another_prior(contributed, grid):
    post = lb.fit(grid, contributed["steeper"], drift=None, **QUICK)
    assert set(post.coefficients) == {"E", "A", "alpha", "B", "beta", "t"}
    assert (post.sites["alpha"] < 1).all() and post.health.rhat_max < 1.1


def test_the_noise_that_contributing_adds_is_fitted_saved_and_loaded(contributed, grid, tmp_path):
    noise = contributed["Skewed"]()
    post = lb.fit(grid, "chinchilla", noise=noise, drift=None, **QUICK)
    assert post.health.rhat_max < 1.1
    again = lb.load(post.save(tmp_path / "post.nc"), noise=noise)
    np.testing.assert_array_equal(again.draws(grid), post.draws(grid))


def test_the_drift_that_contributing_adds_is_in_half_of_the_draws(contributed, grid):
    post = lb.fit(grid, "chinchilla", drift=contributed["Tilt"](), **QUICK)
    assert list(post.fits) == ["drift", "no drift"] and "tilt" in post.fits["drift"].sites
    assert post.health.rhat_max < 1.1
    beyond = post.predict(grid.assign(params=grid.params * 100), kind="mean")
    assert (beyond["sd"] > post.predict(grid, kind="mean")["sd"].max()).any()


def test_the_importer_that_contributing_adds_reads_a_log(contributed, tmp_path, monkeypatch):
    log = tmp_path / "pilot.jsonl"
    log.write_text("".join(f'{{"step": {s}, "loss": {4 - s / 10}, "lr": 0.001}}\n' for s in (1, 2, 3, 2, 3)))
    assert contributed["is_one"](log) and not contributed["is_one"](tmp_path)
    monkeypatch.setitem(READERS, "lines", contributed["read_logs"])
    found = lb.import_runs(log, format="lines", constants={"params": 1e8})
    assert found.frame["step"].tolist() == [1, 2, 3] and found.frame["run"].unique().tolist() == ["pilot"]
    assert found.frame["loss"].tolist() == pytest.approx([3.9, 3.8, 3.7])
    assert {note.code for note in found.notes} <= {"resumed", "duplicates"} and found.notes


def test_the_cost_that_contributing_adds_splits_a_budget(contributed, plain_post):
    plan = plain_post.optimal(1e20, cost=contributed["recomputing"])
    row = plan.frame.iloc[0]
    assert row["tokens_median"] * row["params_median"] == pytest.approx(1e20 / 8, rel=0.05)


def codes():
    """Codes of every note that the source makes."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "Note"
                and isinstance(node.args[0], ast.Constant)
            ):
                yield node.args[0].value


def test_every_coded_note_stands_on_the_page():
    found = set(codes())
    assert {"rhat", "resumed", "one-ratio"} <= found  # the walk sees them
    pages = ("when-not-to-trust", "decision-notes", "import-notes")
    page = "".join(text_of(f"docs/{name}.md") for name in pages)
    assert not {code for code in found if f"| `{code}` |" not in page}


def test_every_law_stands_in_the_table():
    table = text_of("docs/laws.md")
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named == {name for name, law in LAWS.items() if law.curve.__module__.startswith("lossband.")}


def test_the_page_on_the_model_has_the_numbers_of_the_code():
    from lossband.inference.batches import SHARPNESS
    from lossband.model.drift import CELLS, DF, EDGE_WIDTH, LEVEL

    def said(number):
        return f"{number:g}".replace("0.", ".")

    page = " ".join((text_of("docs/model.md") + text_of("docs/mixture.md")).split())
    drift = lb.Drift()
    noise, runs = (
        lb.Noise(),
        Runs({"params": np.ones(1)}, Unit(1.0, 1.0, 0.1, {"params": 1.0}, {"params": 1.0})),
    )
    sigma = prior_of(lambda: noise.scales(1.0), "sigma")
    of_term = {
        site: prior_of(lambda: terms.power(runs.params, "A", "alpha", shift="t"), site)
        for site in ("A", "alpha")
    }
    floor = prior_of(lambda: terms.floor(runs), "E")
    for sentence in (
        f"tau ~ LogNormal(ln {said(drift.tau[0])}, {said(drift.tau[1])})",
        f"mean {said(drift.mean)} (laws of several inputs), scale LogNormal(ln {said(drift.edge)}, {said(EDGE_WIDTH)})",
        f"Student-t with {DF} degrees of freedom, scale {said(drift.size)}",
        f"mean {said(drift.undertrained[0])}, scale {said(drift.undertrained[1])}",
        f"at {CELLS} evenly spaced pieces",
        f"(spread / {1 / LEVEL:g})^2",
        f"exp({SHARPNESS:g} elpd_k)",
        f"sigma / spread ~ LogNormal({sigma})",
        f"E / least ~ LogNormal({floor})",
        f"A / typical ~ LogNormal({of_term['A']})",
        f"LogNormal({of_term['alpha']})",
    ):
        assert sentence in page, sentence
    mixed = {law.name: law for law in LAWS.values() if law.curve.__module__.startswith("lossband.")}
    alone = [name for name, law in mixed.items() if not law.exact]
    simpler = [name for name, law in mixed.items() if law.simpler and not law.crossed]
    table = text_of("docs/mixture.md")
    assert all(f"`{name}`" in table for name in (*alone, *simpler))
    assert [law.name for law in mixed.values() if law.crossed] == ["capped"]


def prior_of(term, site):
    """The numbers of a site's log-normal prior, `"ln .3, .45"`: its median in its unit, and its log-width."""
    with numpyro.handlers.seed(rng_seed=0), numpyro.handlers.trace() as trace:
        term()
    prior = trace[site]["fn"]
    numbers = [f"{float(x):.3g}".replace("0.", ".", 1) for x in (np.exp(prior.loc), prior.scale)]
    return f"ln {numbers[0]}, {numbers[1]}"


def anchors(page):
    """What a link to a heading of a page may name, as GitHub makes it."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^):]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = link.partition("#")
            other = page.parent / name if name else page
            assert other.exists(), f"{page.name} links {link}"
            assert not anchor or anchor in anchors(other), f"{page.name} links {link}"


def test_what_the_pages_name_is_there():
    """Public functions, methods of a posterior, modules with their names, files, and options of the shell."""
    known = {*dir(lb.Posterior), *lb.Posterior.__dataclass_fields__}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if page.name == "CHANGELOG.md":  # it names what is gone, too
            continue
        for name in re.findall(r"\b(?:lb|lossband)\.([A-Za-z_]+)\(", text):
            assert hasattr(lb, name), f"{page.name} names lb.{name}"
        for name in re.findall(r"\bpost\.([a-z_]+)", text):
            assert name in known, f"{page.name} names post.{name}"
        for name in re.findall(r"`(?:src/lossband|tests|benchmarks|examples)/[\w/.-]+`", text):
            assert (ROOT / name.strip("`")).exists(), f"{page.name} names {name}"
        for name in re.findall(r"-m (benchmarks[\w.]*)", text):
            assert import_module(name), f"{page.name} names {name}"


def test_every_command_that_the_pages_name_is_there():
    from lossband.cli import COMMANDS

    written = r"(?:^ {4}|`|uv run )lossband ([a-z-]+)"
    named = {
        name for page in PAGES for name in re.findall(written, page.read_text("utf-8"), flags=re.MULTILINE)
    }
    assert {"fit", "compare", "report", "demo"} <= named
    assert named <= set(COMMANDS)


def test_the_commands_of_the_pages_have_those_options():
    from lossband.cli import parser

    text = "\n".join(page.read_text(encoding="utf-8") for page in SITE)
    lines = re.findall(r"^ {4}lossband (.*)$", text, flags=re.MULTILINE)
    assert len(lines) >= 25
    for line in lines:
        parser().parse_args(shlex.split(line, comments=True))
