"""One picture per benchmark, drawn from its report alone."""

from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.results.figures import Report

INK, MUTED, GOOD, BAR = "#1d3557", "#a8b2c1", "#2a9d8f", "#e76f51"
Draw = Callable[[Axes, Report], None]


def draw(report: Report, folder: Path) -> Path:
    """Writes `<name>.png` beside the report."""
    with mpl.rc_context({"svg.hashsalt": report.name}):
        canvas = Canvas(figsize=(7.2, 3.6), dpi=150, layout="constrained")
        axes = canvas.add_subplot()
        DRAWINGS[report.name](axes, report)
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                axis.set_major_formatter("{x:,g}")
                axis.set_minor_formatter("")
        axes.spines[["top", "right"]].set_visible(False)
        canvas.supxlabel(
            f"{report.command} · {report.commit} · {report.hardware}", fontsize=6, color="gray"
        )
        path = folder / f"{report.name}.png"
        canvas.savefig(path, metadata={"Software": None})
    return path


def _constant_rate(axes: Axes, report: Report) -> None:
    steps = report.series["sweep"]
    rates = [each["rate"] for each in steps]
    for name, colour in (("p50", MUTED), ("p90", INK), ("p99", BAR)):
        axes.plot(rates, [each[name] for each in steps], "o-", color=colour, label=name)
    axes.axhline(20, color=BAR, linewidth=0.8, linestyle=":")
    axes.set(yscale="log", xlabel="requests a second", ylabel="ms from the intended time")
    axes.set_title("append, read, infer, mask, answer: latency by constant rate")
    axes.legend(frameon=False)


def _peers(axes: Axes, report: Report) -> None:
    names = [*report.series][::-1]
    for place, name in enumerate(names):
        rates = report.series[name]["rate"]
        axes.barh(place, _middle(rates), color=GOOD if name == "this service" else MUTED)
        axes.plot(rates, [place] * len(rates), "|", color=INK)
        p99 = _middle(report.series[name]["p99"])
        axes.annotate(f"  p99 {p99:.0f} ms", (max(rates), place), va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answers a second, one worker, saturated")
    axes.margins(x=0.2)
    axes.set_title("the same graph behind other servers")


def _student_vs_teacher(axes: Axes, report: Report) -> None:
    for (name, one), colour in zip(report.series.items(), (GOOD, INK, BAR), strict=False):
        ordered = sorted(one["latencies_ms"])
        shares = [100 * (place + 1) / len(ordered) for place in range(len(ordered))]
        quality = f", NDCG@20 {one['quality']:.4f}" if one["quality"] else ""
        label = f"{name}: {_middle(one['rate']):,.1f} answers/s{quality}"
        axes.step(ordered, shares, color=colour, where="post", label=label)
    axes.set(xscale="log", xlabel="ms, one request at a time", ylabel="% of requests")
    axes.set_title("the same histories to student and teacher, on the same cores")
    axes.legend(frameon=False, fontsize=8, loc="center")


def _breakdown(axes: Axes, report: Report) -> None:
    left = 0.0
    colours = (MUTED, INK, "#457b9d", GOOD, "#e9c46a", BAR)
    for (part, runs), colour in zip(report.series.items(), colours, strict=True):
        width = _middle(runs)
        axes.barh(0, width, left=left, color=colour, label=f"{part}: {width:.0f} µs")
        left += width
    axes.set(yticks=[], xlabel="µs of CPU per request", ylim=(-0.6, 1.6))
    axes.set_title("where a request spends its time")
    axes.legend(frameon=False, ncols=3, fontsize=8, loc="upper center")


def _graph(axes: Axes, report: Report) -> None:
    lengths = report.conditions["lengths"]
    for name, colour in (("naive", MUTED), ("shipped", GOOD)):
        axes.plot(lengths, report.series[name], "o-", color=colour, label=name)
    axes.set(xlabel="items of history", ylabel="µs of CPU per answer", ylim=(0, None))
    axes.set_title("the shipped graph and a naive export of the same student")
    axes.legend(frameon=False)


def _memory(axes: Axes, report: Report) -> None:
    axes.plot(report.series["requests"], report.series["resident_mib"], "o-", color=INK)
    highest = 1.2 * max(report.series["resident_mib"])
    axes.set(xlabel="requests answered", ylabel="MiB resident", ylim=(0, highest))
    axes.ticklabel_format(axis="x", style="plain")
    axes.set_title("memory of one worker")


def _scale(axes: Axes, report: Report) -> None:
    sizes, middles = report.series["sizes"], [_middle(each) for each in report.series["ms"]]
    axes.plot(sizes, middles, "o-", color=INK)
    axes.set(xscale="log", yscale="log", xlabel="items in the catalog", ylabel="ms of CPU")
    axes.set_title("an answer from the shipped graph, by the size of the catalog")


def _figures(axes: Axes, report: Report) -> None:
    figures = [each for each in report.figures if each.bar][::-1]
    for place, each in enumerate(figures):
        bar = each.at_most or each.at_least or 1.0
        axes.barh(place, each.value / bar, color=GOOD if each.holds else BAR)
        axes.plot([run / bar for run in each.runs], [place] * len(each.runs), "|", color=INK)
    axes.axvline(1, color=BAR, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(figures)), [f"{each.name} ({each.bar})" for each in figures])
    axes.tick_params(labelsize=7)
    axes.set(xlabel="share of the bar")
    axes.set_title(report.name.replace("_", " "))


def _middle(runs: list[float]) -> float:
    return sorted(runs)[len(runs) // 2]


DRAWINGS: Mapping[str, Draw] = {
    "constant_rate": _constant_rate,
    "peers": _peers,
    "student_vs_teacher": _student_vs_teacher,
    "request_cost": _figures,
    "breakdown": _breakdown,
    "graph": _graph,
    "cold_start": _figures,
    "added_item": _figures,
    "epoch_cost": _figures,
    "memory": _memory,
    "scale": _scale,
}
