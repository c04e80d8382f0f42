"""A hook of mkdocs: the repository's pages as they are, with their links, as the source of the site."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "pages"
RECORDS = [
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "benchmarks/README.md",
]  # long: given as plain text
OTHERS = ["LICENSE", "CITATION.cff"]


def on_config(config, **_):
    """Lay the pages, the pictures and the records out as they stand in the repository."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for name in ["README.md", *OTHERS, *RECORDS]:
        to = PAGES / (name.replace(".md", ".txt") if name in RECORDS else name)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, to)
    shutil.copytree(ROOT / "docs", PAGES / "docs")
    for picture in (ROOT / "examples").glob("*.png"):
        (PAGES / "examples").mkdir(exist_ok=True)
        shutil.copy(picture, PAGES / "examples")
    config["docs_dir"] = str(PAGES)
    return config


def on_page_markdown(markdown, **_):
    """Link the records as the text that they are here."""
    for name in RECORDS:
        here = re.escape(name.removesuffix(".md"))
        markdown = re.sub(rf"(\]\([./]*{here})\.md(#[^)]*)?\)", r"\1.txt)", markdown)
    return markdown
