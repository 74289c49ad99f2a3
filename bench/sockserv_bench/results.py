"""What a run has measured, as a value that is written to a file and read from it."""

import dataclasses
import datetime
import json
import statistics

from .workloads import Case

FORMAT = 1


class BadFile(Exception):
    """A file is not what it should be."""


def summary(rounds):
    """For each figure that all rounds have, its median, and its least and greatest value as the spread."""
    return {
        name: {
            "median": statistics.median(figures[name] for figures in rounds),
            "least": min(figures[name] for figures in rounds),
            "greatest": max(figures[name] for figures in rounds),
        }
        for name in rounds[0]
        if all(name in figures for figures in rounds)
    }


@dataclasses.dataclass(frozen=True)
class Result:
    """A server at a case. `figures` is empty if it could not be measured; `why` says then why."""

    server: str
    kind: str
    case: Case
    figures: dict
    workers: int | None = None
    rounds: tuple = ()
    why: str | None = None
    failed: bool = False


@dataclasses.dataclass(frozen=True)
class Results:
    machine: dict
    settings: dict
    results: tuple
    date: str = ""

    @property
    def cases(self):
        return list(dict.fromkeys(result.case for result in self.results))

    def of(self, case):
        return [result for result in self.results if result.case == case]


def collect(measurements, machine, settings):
    """What a measuring has found."""
    results = tuple(
        Result(
            each.candidate.name,
            each.candidate.kind,
            each.case,
            summary(each.rounds) if each.rounds and not each.failure else {},
            each.workers,
            tuple(each.rounds),
            each.failure or each.absent,
            each.failure is not None,
        )
        for each in measurements
        if each.rounds or each.is_over
    )
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return Results(machine, settings, results, now)


def as_value(results):
    """For JSON."""
    return {
        "format": FORMAT,
        "date": results.date,
        "machine": results.machine,
        "settings": results.settings,
        "results": [dataclasses.asdict(result) for result in results.results],
    }


def write(results, path):
    path.write_text(json.dumps(as_value(results), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path):
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise BadFile(f"{path}: format {value['format']}; this program knows format {FORMAT}")
        results = tuple(
            Result(**{**each, "case": Case(**each["case"]), "rounds": tuple(each["rounds"])})
            for each in value["results"]
        )
        return Results(value["machine"], value["settings"], results, value["date"])
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{path} is not a file that sockserv-bench --json has written: {error!r}") from None


@dataclasses.dataclass(frozen=True)
class Change:
    """A figure that has left its earlier spread."""

    server: str
    case: Case
    figure: str
    before: float
    now: float
    is_worse: bool


LEAST_CHANGE = 0.05  # less is not worth telling, and too likely to be chance
MORE_IS_BETTER = ("rate",)
COMPARED = ("rate", "p99 us", "cpu us", "KiB each")


def changes(before, now):
    """What has changed beyond the spreads: all rounds of one run are better than all of the other, and the medians
    differ by more than `LEAST_CHANGE`."""
    earlier = {(result.server, result.case): result.figures for result in before.results}
    for result in now.results:
        old = earlier.get((result.server, result.case), {})
        for figure in COMPARED:
            if figure not in result.figures or figure not in old:
                continue
            new_spread, old_spread = result.figures[figure], old[figure]
            grew = new_spread["least"] > old_spread["greatest"]
            shrank = new_spread["greatest"] < old_spread["least"]
            if (grew or shrank) and abs(new_spread["median"] - old_spread["median"]) > LEAST_CHANGE * old_spread["median"]:
                worse = shrank if figure in MORE_IS_BETTER else grew
                yield Change(result.server, result.case, figure, old_spread["median"], new_spread["median"], worse)
