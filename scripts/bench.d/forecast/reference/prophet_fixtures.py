#!/usr/bin/env python3
"""Writes planner/models/tests/fixtures/prophet/*.json: what Python's Prophet says about real series.

Each file has a cut of a series and two answers over the steps after it: `stan`, the package as users run it, and `optimum`,
the same posterior maximised by scipy's L-BFGS-B, with each bend split into its positive and its negative part, so that
there is no kink to stop at. Run again only when Prophet changes.

Usage: prophet_fixtures.py --data DIR --out planner/models/tests/fixtures/prophet      (needs: pip install prophet scipy)
"""
import argparse
import json
import logging
import pathlib
import warnings

import numpy as np
import pandas as pd
from prophet import Prophet
from scipy.optimize import minimize

HORIZON = 36
ROWS = 900
# File: series, and what is special about it; `every` keeps one row in so many.
SERIES = {
    "nab-network": ("nab/ec2_network_in_5abac7", {}),
    "nab-gaps": ("nab/iio_us-east-1_i-a2eb1cd9_NetworkIn", {}),
    "nezha-memory": ("nezha/online-boutique/2022-08-22/adservice/memory", {}),
    "petshop-low-amplitude": ("petshop/low_traffic/lambda-step-pricegreaterthan55-aws-lambda-function/latency_avg", {}),
    "smd-disk": ("smd/machine-2-2/disk_q", {"every": 10}),
    "mscloud-ingress": ("mscloud/ingress-01", {"every": 10}),
    "azurevm-trend": ("azurevm/b8ms-0/osbench_create_process_latency", {}),
    "nasa-requests": ("nasa/1995-07-15", {"every": 10}),
    "smd-regressor": ("smd/machine-2-2/disk_wb", {"every": 10, "regressor": "smd/machine-2-2/load_1"}),
    "nezha-regressor": ("nezha/online-boutique/2022-08-22/adservice/cpu", {"regressor": "nezha/online-boutique/2022-08-22/cartservice/cpu"}),
    "mscloud-holidays": ("mscloud/outbound-11", {"holidays": [5, 12, 20, 26]}),
    "mscloud-multiplicative": ("mscloud/outbound-11", {"mode": "multiplicative"}),
}


def series(data, index, name):
    """One series on its whole grid, NaN in gaps."""
    about = index.loc[name]
    frame = pd.read_csv(data / about.file)
    frame = frame[frame.series_id == name]
    times = pd.to_datetime(frame.timestamp).dt.tz_localize(None)
    step = int(about.step_seconds)
    return pd.Series(frame.value.to_numpy(), index=times).asfreq(f"{step}s"), step, about


def objective(model, history):
    """Columns, targets and priors as Prophet made them, trend first: offset, slope, bends, features."""
    columns, scales, parts, _ = model.make_all_seasonality_features(history)
    time = history.t.to_numpy()
    bends = np.maximum(time[:, None] - model.changepoints_t[None, :], 0.0)
    trend = np.column_stack([np.ones(len(time)), time, bends])
    return trend, columns.to_numpy(), np.array(scales), parts["additive_terms"].to_numpy(), parts["multiplicative_terms"].to_numpy()


def posterior(theta, sigma, trend, features, scales, added, multiplied, target, tau):
    """Logarithm of the posterior density, without constants."""
    width = trend.shape[1]
    base, effects = theta[:width], theta[width:]
    mean = (trend @ base) * (1 + features @ (effects * multiplied)) + features @ (effects * added)
    residual = target - mean
    return float(-len(target) * np.log(sigma) - residual @ residual / (2 * sigma**2) - (sigma / 0.5) ** 2 / 2
                 - (base[:2] ** 2).sum() / 50 - np.abs(base[2:]).sum() / tau - ((effects / scales) ** 2).sum() / 2), mean


def optimum(start, sigma, trend, features, scales, added, multiplied, target, tau):
    """Maximises the posterior over offset, slope, positive and negative parts of bends, effects and log(sigma)."""
    width, bends = trend.shape[1], trend.shape[1] - 2

    def join(x):
        return np.concatenate([x[:2], x[2:2 + bends] - x[2 + bends:2 + 2 * bends], x[2 + 2 * bends:-1]])

    def loss(x):
        theta, noise = join(x), np.exp(x[-1])
        base, effects = theta[:width], theta[width:]
        level, factor = trend @ base, 1 + features @ (effects * multiplied)
        residual = target - level * factor - features @ (effects * added)
        value = (len(target) * x[-1] + residual @ residual / (2 * noise**2) + 2 * noise**2 + (base[:2] ** 2).sum() / 50
                 + x[2:2 + 2 * bends].sum() / tau + ((effects / scales) ** 2).sum() / 2)
        pull = -residual / noise**2
        by_base = trend.T @ (pull * factor)
        by_effects = features.T @ pull * added + features.T @ (pull * level) * multiplied + effects / scales**2
        by_noise = len(target) - residual @ residual / noise**2 + 4 * noise**2
        gradient = np.concatenate([by_base[:2] + base[:2] / 25, by_base[2:] + 1 / tau, -by_base[2:] + 1 / tau, by_effects, [by_noise]])
        return value, gradient

    x = np.concatenate([start[:2], np.maximum(start[2:width], 0), np.maximum(-start[2:width], 0), start[width:], [np.log(sigma)]])
    bounds = [(None, None)] * 2 + [(0, None)] * (2 * bends) + [(None, None)] * features.shape[1] + [(-14, 3)]
    for _ in range(20):
        found = minimize(loss, x, jac=True, method="L-BFGS-B", bounds=bounds,
                         options={"maxiter": 20000, "maxfun": 40000, "maxcor": 60, "ftol": 1e-15, "gtol": 1e-9})
        done = np.allclose(found.x, x, rtol=1e-9, atol=1e-11)
        x = found.x
        if done:
            break
    return join(x), float(np.exp(x[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    index = pd.read_csv(options.data / "index.csv").set_index("series_id")
    options.out.mkdir(parents=True, exist_ok=True)
    for name, (identity, special) in SERIES.items():
        values, step, about = series(options.data, index, identity)
        step *= special.get("every", 1)
        values = values.iloc[::special.get("every", 1)].iloc[-(ROWS + HORIZON):].astype(float)
        # Six digits are what the source has.
        frame = pd.DataFrame({"ds": values.index, "y": [float(f"{v:.6g}") for v in values]})
        settings = {"interval_width": 0.8, "uncertainty_samples": 20000, "seasonality_mode": special.get("mode", "additive")}
        days = sorted(frame.ds.dt.normalize().unique())
        chosen = [days[i] for i in special.get("holidays", [])]
        if chosen:
            settings["holidays"] = pd.DataFrame({"holiday": "maintenance", "ds": chosen, "lower_window": 0, "upper_window": 1})
        model = Prophet(**settings)
        covariates = []
        if "regressor" in special:
            other, _, _ = series(options.data, index, special["regressor"])
            frame["x"] = [float(f"{v:.6g}") for v in other.ffill().reindex(frame.ds).to_numpy()]
            covariates = [frame.x.tolist()]
            model.add_regressor("x")
        training = frame.iloc[:-HORIZON]
        np.random.seed(1)
        model.fit(training)
        forecast = model.predict(frame.iloc[-HORIZON:].drop(columns="y"))
        trend, features, scales, added, multiplied = objective(model, model.history)
        target = model.history.y_scaled.to_numpy()
        fitted = model.params
        theta = np.concatenate([fitted["m"].ravel(), fitted["k"].ravel(), fitted["delta"].ravel(), fitted["beta"].ravel()])
        tau = model.changepoint_prior_scale
        rest = (trend, features, scales, added, multiplied, target, tau)
        reached, _ = posterior(theta, float(fitted["sigma_obs"].ravel()[0]), *rest)
        best, sigma = optimum(theta, float(fitted["sigma_obs"].ravel()[0]), *rest)
        best_reached, _ = posterior(best, sigma, *rest)
        ahead = objective(model, model.setup_dataframe(frame.iloc[-HORIZON:].drop(columns="y").copy()))
        _, mean = posterior(best, sigma, *ahead, np.zeros(HORIZON), tau)
        season = round(86400 / step)
        learnt = training.y.to_numpy()
        lag = season if len(learnt) > season else 1
        naive = float(np.nanmean(np.abs(learnt[lag:] - learnt[:-lag])))
        rounded = lambda numbers: [float(f"{v:.9g}") for v in numbers]
        nulls = lambda numbers: [None if np.isnan(v) else v for v in numbers]
        fixture = {
            "series": identity, "source": about.source, "licence": about.licence,
            "start_ms": int(frame.ds.iloc[0].value // 10**6), "step_ms": step * 1000, "season": season,
            "mode": settings["seasonality_mode"], "seasonal_naive_mae": naive, "scale": float(model.y_scale),
            "holidays_ms": [int(pd.Timestamp(d).value // 10**6) for d in chosen],
            "values": nulls(training.y), "covariates": covariates,
            "stan": {"mean": rounded(forecast.yhat), "q10": rounded(forecast.yhat_lower), "q90": rounded(forecast.yhat_upper),
                     "log_posterior": reached, "sigma": float(fitted["sigma_obs"].ravel()[0])},
            "optimum": {"mean": rounded(mean * model.y_scale), "log_posterior": best_reached, "sigma": sigma},
        }
        (options.out / f"{name}.json").write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
        gap = np.abs(np.array(fixture["stan"]["mean"]) - np.array(fixture["optimum"]["mean"])).max()
        print(f"{name}: n={np.isfinite(learnt).sum()} stan-optimum {gap / model.y_scale:.5f} of max, {gap / naive:.4f} of naive, "
              f"posterior {reached:.3f} -> {best_reached:.3f}, columns {trend.shape[1]}+{features.shape[1]}")


if __name__ == "__main__":
    main()
