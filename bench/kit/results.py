"""From rows to one figure per metric: which rows count, and how several become one. Pure."""

import statistics
from dataclasses import dataclass, field


def counted(rows):
    """Per load, contender and repetition the one row that counts: an undisturbed one, else the least disturbed.

    A row without metrics (an error) counts only if there is no other.
    """
    best = {}
    for row in rows:
        key = (row["load"], row["label"], row["rep"])
        if key not in best or _rank(row) < _rank(best[key]):
            best[key] = row
    return list(best.values())


def _rank(row):
    return ("error" in row, row["disturbed"], row["foreign"])


def combine(rows, columns):
    """`figures[load][label][metric]` of the rows that count; a metric that no repetition has is absent."""
    grouped = {}
    for row in counted(rows):
        grouped.setdefault(row["load"], {}).setdefault(row["label"], []).append(row.get("metrics", {}))
    return {
        load: {label: _figures(metrics, columns) for label, metrics in contenders.items()}
        for load, contenders in grouped.items()
    }


def _figures(metrics, columns):
    figures = {}
    for column in columns:
        if column.how == "classes":
            figures[column.metric] = _classes(metrics, column.metric)
            continue
        values = [one[column.metric] for one in metrics if one.get(column.metric) is not None]
        if values:
            figures[column.metric] = {"median": statistics.median, "worst": max, "sum": sum}[column.how](values)
    return figures


def _classes(metrics, prefix):
    """`http_502: 3, truncated: 1`: the sums of all metrics with that prefix."""
    sums = {}
    for one in metrics:
        for name, value in one.items():
            if name.startswith(prefix):
                sums[name.removeprefix(prefix)] = sums.get(name.removeprefix(prefix), 0) + value
    return ", ".join(f"{name}: {count:,}" for name, count in sorted(sums.items(), key=lambda item: -item[1]))


@dataclass
class Trouble:
    """What a reader has to know about the rows of one contender under one load."""

    repetitions: int = 0
    disturbed: int = 0
    errors: list[str] = field(default_factory=list)
    # In rows that were measured again and do not count.
    lost_elsewhere: int = 0

    def __bool__(self):
        return bool(self.disturbed or self.errors or self.lost_elsewhere)


def trouble(rows):
    """`trouble[load][label]`. A lost request is told even if its row does not count: disturbance excuses a latency, not a loss."""
    found = {}
    counting = counted(rows)
    for row in rows:
        of_load = found.setdefault(row["load"], {})
        its = of_load.setdefault(row["label"], Trouble())
        if any(row is one for one in counting):
            its.repetitions += 1
            its.disturbed += row["disturbed"]
            its.errors += [row["error"]] if "error" in row else []
        else:
            its.lost_elsewhere += row.get("metrics", {}).get("failed", 0)
    return found
