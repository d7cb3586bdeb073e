#!/usr/bin/env python3
"""Runs statsforecast and Prophet on tasks of `foremesh backtest --dump`, and scores ours against them.

A task is a series and an origin. Each reference learns from the newest 2016 steps before the origin or three seasons, gaps
filled on a line (Prophet takes all, as they are), and is scored on the steps that the dump has an actual value for. Prints JSON: for each reference
the tasks it finished, failures, CPU seconds, and for each of our models the geometric mean over series of the ratio of
mean absolute errors, ours by theirs. A dump from an older backtest serves as well.

  reference.py --data DIR --dump OURS.csv -o json
  reference.py --data DIR --tasks OURS.csv --dump THEIRS.csv      also writes the references' forecasts, in the same columns

Needs statsforecast and prophet (pip install statsforecast prophet); without them it says so and ends with status 3.
"""
import argparse
import csv
import json
import logging
import math
import multiprocessing
import os
import resource
import sys
import warnings
from collections import defaultdict

MODELS = ["auto_arima", "auto_ets", "dynamic_optimized_theta", "seasonal_naive", "mstl", "prophet"]
# Newest steps that a reference learns from at least: a week of 5-minute steps, or three seasons where it has a long one.
# On ten days of minutes one AutoARIMA would take minutes.
MOST_STEPS = 2016
# Statsforecast's seasonal AutoETS takes minutes with longer seasons, its AutoARIMA with those of a day of hours already.
LONGEST_SEASONAL = 24
LONGEST_ARIMA = 12


def progress(text):
    print(text, file=sys.stderr, flush=True)


def missing():
    """Names of packages that cannot be imported."""
    found = []
    for name in ["numpy", "pandas", "statsforecast", "prophet"]:
        try:
            __import__(name)
        except ImportError:
            found.append(name)
    return found


def read_tasks(file):
    """Actual values and our forecasts: {(series, origin): ({step: actual}, {model: {step: value}})}."""
    tasks = defaultdict(lambda: ({}, defaultdict(dict)))
    with open(file, encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            actual, models = tasks[row["series_id"], row["origin"]]
            step = int(row["step"])
            if row["actual"]:
                actual[step] = float(row["actual"])
            else:
                actual.setdefault(step, math.nan)
            if row["q50"]:
                models[row["model"]][step] = float(row["q50"])
    return tasks


def spread(tasks, most):
    """So many tasks, evenly over series and origins."""
    by_series = defaultdict(list)
    for series, origin in sorted(tasks):
        by_series[series].append(origin)
    names = sorted(by_series)
    if most < len(names):
        names = [names[i * len(names) // most] for i in range(most)]
    chosen, each = [], max(1, most // max(1, len(names)))
    for name in names:
        origins = by_series[name]
        count = min(each, len(origins))
        chosen += [(name, origins[(2 * i + 1) * len(origins) // (2 * count)]) for i in range(count)]
    return chosen


def read_series(folder, names):
    """The chosen series on their whole grids: {name: (values by time, step in seconds)}."""
    import pandas as pd
    index = pd.read_csv(os.path.join(folder, "index.csv")).set_index("series_id")
    found = {}
    for file, members in index.loc[[name for name in names if name in index.index]].groupby("file"):
        frame = pd.read_csv(os.path.join(folder, file))
        frame = frame[frame.series_id.isin(members.index)]
        frame["timestamp"] = pd.to_datetime(frame.timestamp, utc=True)
        for name, rows in frame.groupby("series_id"):
            step = int(members.loc[name].step_seconds)
            found[name] = (rows.set_index("timestamp").value.asfreq(f"{step}s"), step)
    return found


def forecast(model, history, step, horizon):
    """Median and 80 % band of one reference."""
    import numpy as np
    import pandas as pd
    day = round(86400 / step)
    season = day if day > 1 and len(history) >= 2 * day else 1
    if model == "prophet":
        from prophet import Prophet
        times = history.index.tz_localize(None)
        known = Prophet(interval_width=0.8).fit(pd.DataFrame({"ds": times, "y": history.to_numpy()}))
        ahead = pd.date_range(times[-1] + pd.Timedelta(seconds=step), periods=horizon, freq=f"{step}s")
        found = known.predict(pd.DataFrame({"ds": ahead}))
        return found.yhat.tolist(), found.yhat_lower.tolist(), found.yhat_upper.tolist()
    from statsforecast import models
    short = season if season <= LONGEST_SEASONAL else 1
    history = history.iloc[-MOST_STEPS if model in ("auto_arima", "auto_ets") else -max(MOST_STEPS, 3 * season):]
    if model == "mstl":
        if season == 1:
            raise ValueError("the series has no season")
        fitted = models.MSTL(season_length=season, trend_forecaster=models.AutoETS(model="ZZN"))
    else:
        fitted = {
            "auto_arima": lambda: models.AutoARIMA(season_length=season if season <= LONGEST_ARIMA else 1),
            "auto_ets": lambda: models.AutoETS(season_length=short),
            "dynamic_optimized_theta": lambda: models.DynamicOptimizedTheta(season_length=season),
            "seasonal_naive": lambda: models.SeasonalNaive(season_length=season),
        }[model]()
    values = history.interpolate(limit_direction="both").to_numpy(dtype=float)
    found = fitted.forecast(np.ascontiguousarray(values), h=horizon, level=[80])
    return [list(map(float, found[key])) for key in ("mean", "lo-80", "hi-80")]


def cpu():
    """CPU seconds of this process and of those that it waited for, such as Stan."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def work(pipe):
    """Answers requests until the other end closes."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        before = cpu()
        try:
            answer = forecast(*request)
            if not all(math.isfinite(value) for value in answer[0]):
                raise ValueError("not finite")
            pipe.send((answer, None, cpu() - before))
        except Exception as error:  # noqa: BLE001 - whatever a reference raises is counted, not fatal
            pipe.send((None, f"{type(error).__name__}: {error}"[:200], cpu() - before))


class Worker:
    """A process that forecasts, and is replaced when it takes too long."""

    def __init__(self, model):
        self.model, self.process = model, None

    def start(self):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def ask(self, history, step, horizon, limit):
        if self.process is None:
            self.start()
            # Imports and just-in-time compilation are not the model's cost.
            self.pipe.send((self.model, history.iloc[-min(len(history), 300):], step, horizon))
            if self.pipe.poll(300):
                self.pipe.recv()
        self.pipe.send((self.model, history, step, horizon))
        if self.pipe.poll(limit):
            return self.pipe.recv()
        self.stop()
        return None, f"took more than {limit} s", float(limit)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def error(forecasts, actual):
    """Sum of absolute errors and number of steps."""
    known = [step for step, value in actual.items() if math.isfinite(value) and step in forecasts]
    return sum(abs(forecasts[step] - actual[step]) for step in known), len(known)


def ratio(pairs):
    """Geometric mean over series of ours by theirs; pairs are (series, our error, their error)."""
    sums = defaultdict(lambda: [0.0, 0.0])
    for series, ours, theirs in pairs:
        sums[series][0] += ours
        sums[series][1] += theirs
    logs = [math.log(ours / theirs) for ours, theirs in sums.values() if ours > 0 and theirs > 0]
    if not logs:
        return None
    # Where one of them is right to rounding, as on a series of bursts between zeros, one ratio of millions moves the mean.
    median = math.exp(sorted(logs)[len(logs) // 2])
    return {"ratio": round(math.exp(sum(logs) / len(logs)), 4), "median": round(median, 4), "series": len(logs),
            "left_out": len(sums) - len(logs), "series_won": sum(value < 0 for value in logs)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with index.csv and the files that it names")
    parser.add_argument("--tasks", help="dump of `foremesh backtest`; then --dump is where the references' forecasts go")
    parser.add_argument("--dump", help="without --tasks: dump of `foremesh backtest`")
    parser.add_argument("--models", default=",".join(MODELS), help=f"which references (default: {','.join(MODELS)})")
    parser.add_argument("--max-tasks", type=int, default=120, help="tasks at most, spread evenly (default: 120)")
    parser.add_argument("--fit-limit", type=float, default=20.0, help="seconds for one fit (default: 20)")
    parser.add_argument("--model-limit", type=float, default=180.0,
                        help="CPU seconds for all fits of one reference; later tasks are left out (default: 180)")
    parser.add_argument("-o", choices=["json"], default="json", help="output (default: json)")
    options = parser.parse_args()
    source, target = (options.tasks, options.dump) if options.tasks else (options.dump, None)
    chosen = options.models.split(",")
    if source is None or not set(chosen) <= set(MODELS):
        parser.error(f"--tasks or --dump is needed, and models are among {', '.join(MODELS)}")
    absent = missing()
    if absent:
        progress(f"{', '.join(absent)} cannot be imported; try: {sys.executable} -m pip install statsforecast prophet")
        sys.exit(3)
    tasks = read_tasks(source)
    picked = spread(tasks, options.max_tasks)
    series = read_series(options.data, {name for name, _ in picked})
    import pandas as pd
    result, lines = {}, []
    for model in chosen:
        worker, seconds, failures, pairs, finished = Worker(model), 0.0, [], defaultdict(list), 0
        # In an order in which any first part is spread evenly too.
        order = sorted(range(len(picked)), key=lambda i: (i * 0.6180339887) % 1.0)
        for name, origin in (picked[i] for i in order):
            if name not in series or seconds > options.model_limit:
                continue
            values, step = series[name]
            actual, ours = tasks[name, origin]
            history = values[values.index < pd.Timestamp(origin)]
            answer, why, spent = worker.ask(history, step, max(actual), options.fit_limit)
            seconds += spent
            if answer is None:
                failures.append(f"{name} at {origin}: {why}")
                continue
            finished += 1
            theirs = dict(enumerate(answer[0], 1))
            for at, value in sorted(actual.items()):
                shown = "" if math.isnan(value) else value
                lines.append([name, origin, at, model, answer[1][at - 1], theirs[at], answer[2][at - 1], shown])
            for our, forecasts in ours.items():
                shared = {at: value for at, value in actual.items() if at in forecasts}
                mine, count = error(forecasts, shared)
                if count:
                    pairs[our].append((name, mine, error(theirs, shared)[0]))
        worker.stop()
        progress(f"{model}: {finished} of {len(picked)} tasks, {seconds:.1f} s of CPU, {len(failures)} failures")
        result[model] = {"tasks": finished, "failures": len(failures), "first_failures": failures[:3],
                         "cpu_seconds": round(seconds, 3), "cpu_ms_per_task": round(1e3 * seconds / max(1, finished), 1),
                         "ours_by_theirs": {our: ratio(found) for our, found in sorted(pairs.items())}}
    if target:
        with open(target, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["series_id", "origin", "step", "model", "q10", "q50", "q90", "actual"])
            writer.writerows(lines)
    print(json.dumps({"tasks": len(picked), "series": len(series), "models": result}))


if __name__ == "__main__":
    main()
