#!/usr/bin/env python3
"""Runs the Python package Prophet, with a regressor that is 1 within events, on tasks of `foremesh bench events --dump`.

Each task is read from the dump and from the measured series: the history is as it was measured but for the steps within
events, whose values stand in the dump. Prints JSON: for each effect the tasks, and for each of the dump's forecasts its
mean absolute error on steps of the event and the ratio to Prophet's, as ratio of means over tasks and as geometric mean
of the ratios of tasks, with the 90 % interval over draws of series.

  reference.py --data DIR --dump FILE.csv -o json

Needs prophet (pip install prophet); without it it says so and ends with status 3.
"""
import argparse
import csv
import json
import logging
import math
import multiprocessing
import os
import random
import sys
import warnings
from collections import defaultdict

OURS = ["ours", "ignoring", "known", "prophet"]
DRAWS = 2000


def progress(text):
    print(text, file=sys.stderr, flush=True)


def read_tasks(file):
    """{(task, effect): what is known of it}, rows by step: (in event, actual, {forecast: value})."""
    tasks = {}
    with open(file, encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            task = tasks.setdefault((int(row["task"]), row["effect"]), {
                "series": row["series_id"], "first": row["first"], "origin": row["origin"],
                "scale": float(row["scale"]), "rows": {}})
            cell = {name: float(row[name]) if row[name] else math.nan for name in ["actual", *OURS]}
            task["rows"][int(row["step"])] = (row["in_event"] == "1", cell)
    return tasks


def spread(tasks, most):
    """All effects of so many tasks, evenly over the file."""
    numbers = sorted({number for number, _ in tasks})
    if most < len(numbers):
        numbers = [numbers[at * len(numbers) // most] for at in range(most)]
    chosen = set(numbers)
    return [key for key in sorted(tasks) if key[0] in chosen]


def read_series(folder, names):
    import pandas as pd
    index = pd.read_csv(os.path.join(folder, "index.csv")).set_index("series_id")
    found = {}
    for file, members in index.loc[sorted(names)].groupby("file"):
        frame = pd.read_csv(os.path.join(folder, file))
        frame = frame[frame.series_id.isin(members.index)]
        frame["timestamp"] = pd.to_datetime(frame.timestamp, utc=True)
        for name, rows in frame.groupby("series_id"):
            step = int(members.loc[name].step_seconds)
            found[name] = (rows.set_index("timestamp").value.astype(float).asfreq(f"{step}s"), step)
    return found


def forecast(job):
    """Prophet's forecast of the steps 1, 2, and so on, or why there is none."""
    key, history, flags, step, ahead = job
    import pandas as pd
    from prophet import Prophet
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    try:
        times = history.index.tz_localize(None)
        model = Prophet()
        model.add_regressor("event")
        model.fit(pd.DataFrame({"ds": times, "y": history.to_numpy(), "event": flags}))
        future = pd.date_range(times[-1] + pd.Timedelta(seconds=step), periods=len(ahead), freq=f"{step}s")
        # The band is not compared; its simulation would take most of the time.
        model.uncertainty_samples = 0
        found = model.predict(pd.DataFrame({"ds": future, "event": ahead}))
        return key, found.yhat.tolist(), None
    except Exception as error:  # noqa: BLE001 - whatever it raises is counted, not fatal
        return key, None, f"{type(error).__name__}: {error}"[:200]


def jobs(tasks, chosen, series):
    import pandas as pd
    for key in chosen:
        task = tasks[key]
        values, step = series[task["series"]]
        origin = pd.Timestamp(task["origin"])
        # A history may begin with a gap.
        times = pd.date_range(pd.Timestamp(task["first"]), origin, freq=f"{step}s", inclusive="left")
        history = values.reindex(times).copy()
        flags = [0.0] * len(history)
        rows = task["rows"]
        for at in (at for at in rows if at <= 0):
            place = len(history) + at - 1
            flags[place] = 1.0
            history.iloc[place] = rows[at][1]["actual"]
        ahead = [1.0 if rows[at][0] else 0.0 for at in sorted(at for at in rows if at > 0)]
        yield key, history, flags, step, ahead


def event_errors(task, forecast):
    """Mean absolute error of every forecast on the event's steps, Prophet's last, in the task's unit."""
    steps = [at for at, (inside, cell) in task["rows"].items() if at > 0 and inside and math.isfinite(cell["actual"])]
    def error(value):
        return sum(abs(value(at) - task["rows"][at][1]["actual"]) for at in steps) / len(steps) / task["scale"]
    return [error(lambda at, name=name: task["rows"][at][1][name]) for name in OURS] + [error(lambda at: forecast[at - 1])]


def ratios(by_series, of):
    """Ratio of one error to the last one, and its interval over draws of series."""
    sums = []
    for rows in by_series.values():
        logs = [math.log(row[of] / row[-1]) for row in rows if row[of] > 0 and row[-1] > 0]
        sums.append((sum(row[of] for row in rows), sum(row[-1] for row in rows), sum(logs), len(logs)))
    def ratio(chosen):
        total = [sum(column) for column in zip(*chosen)]
        return total[0] / total[1], math.exp(total[2] / max(1, total[3]))
    draw = random.Random(0)
    drawn = list(zip(*(ratio(draw.choices(sums, k=len(sums))) for _ in range(DRAWS))))
    def interval(values):
        ordered = sorted(values)
        return [round(ordered[int(0.05 * DRAWS)], 3), round(ordered[DRAWS - 1 - int(0.05 * DRAWS)], 3)]
    of_means, geometric = ratio(sums)
    return {"of_means": round(of_means, 3), "of_means_90": interval(drawn[0]),
            "geometric": round(geometric, 3), "geometric_90": interval(drawn[1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with index.csv and the files that it names")
    parser.add_argument("--dump", required=True, help="dump of `foremesh bench events`")
    parser.add_argument("--max-tasks", type=int, default=120, help="tasks at most, spread evenly (default: 120)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="fits at a time (default: one a core)")
    parser.add_argument("-o", choices=["json"], default="json", help="output (default: json)")
    options = parser.parse_args()
    try:
        import prophet  # noqa: F401 - only whether it is there
    except ImportError:
        progress(f"prophet cannot be imported; try: {sys.executable} -m pip install prophet")
        sys.exit(3)
    tasks = read_tasks(options.dump)
    chosen = spread(tasks, options.max_tasks)
    series = read_series(options.data, {tasks[key]["series"] for key in chosen})
    found, failures = defaultdict(lambda: defaultdict(list)), []
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        answers = pool.imap_unordered(forecast, jobs(tasks, chosen, series))
        for done, (key, answer, why) in enumerate(answers, 1):
            if answer is None:
                failures.append(f"{key}: {why}")
            else:
                found[key[1]][tasks[key]["series"]].append(event_errors(tasks[key], answer))
            if done % 50 == 0 or done == len(chosen):
                progress(f"{done} of {len(chosen)} fits")
    result = {"tasks": len({key[0] for key in chosen}), "failures": len(failures), "first_failures": failures[:3],
              "effects": {}}
    for effect, by_series in found.items():
        rows = [row for rows in by_series.values() for row in rows]
        names = [*OURS, "python_prophet"]
        mean = {name: round(sum(row[at] for row in rows) / len(rows), 4) for at, name in enumerate(names)}
        result["effects"][effect] = {"tasks": len(rows), "in_event": mean,
                                     "by_python_prophet": {name: ratios(by_series, at) for at, name in enumerate(OURS)}}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
