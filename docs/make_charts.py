"""Draw the pictures of the README from the sample data: python docs/make_charts.py."""

from pathlib import Path

import polars as pl

import bouncekit as bk
from bouncekit.offenders import timelines

HERE = Path(__file__).parent


def draw(folder: Path) -> None:
    """Write each chart of the README as PNG."""
    bk.use_theme()
    bounces = bk.classify(bk.read(HERE.parent / "data" / "newsletter.csv.zst"))
    offenders = bk.offenders(bounces, at_least=1)
    long = offenders.filter(pl.col("longest_streak").is_between(3, 20))
    chosen = long.gather_every(1 + long.height // 12)["recipient"]
    pictures = {
        "matrix": bk.charts.codes_by_category(
            bk.distribution(bounces, by=["reply_code", "category"])
        ),
        "timelines": bk.charts.timelines(timelines(bounces, chosen)),
    }
    folder.mkdir(exist_ok=True)
    for name, chart in pictures.items():
        chart.save(folder / f"{name}.png", ppi=144)


if __name__ == "__main__":
    draw(HERE / "charts")
