//! The whole backtest over a small sample of measured series.
use super::*;
use clap::Parser as _;
use serde_json::Value;
use std::path::Path;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: BacktestArgs,
}

fn args(more: &[&str]) -> BacktestArgs {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/forecast");
    let mut line = vec!["backtest", "--data", data.to_str().unwrap(), "--origins", "8"];
    line.extend(more);
    Line::try_parse_from(line).unwrap().args
}

fn report(args: &BacktestArgs) -> Report {
    let models = candidates::candidates(&args.models).unwrap();
    let series =
        read::read(&args.data, &Selection { kinds: args.kinds.clone(), ..Selection::default() }).unwrap();
    run(args, &series, &models).unwrap()
}

/// Names of the fields, with `*` for those that are names of kinds, horizons and the like.
fn fields(value: &Value, at: &str, into: &mut std::collections::BTreeSet<String>) {
    const KEYED: [&str; 5] = ["mase", "relative_mae_by_horizon", "by_kind", "by_family", "by_step_seconds"];
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let last = at.rsplit('.').next().unwrap_or_default();
                let name = if KEYED.contains(&last) || at.ends_with("mase.*") { "*" } else { name };
                let path = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
                fields(value, &path, into);
                into.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, at, into)),
        _ => {}
    }
}

#[test]
fn the_json_has_the_fields_of_the_contract() {
    let report = report(&args(&["--models", "last_value,theta,extra_trees"]));
    let json = serde_json::to_value(&report).unwrap();
    let mut names = std::collections::BTreeSet::new();
    fields(&json, "", &mut names);
    for needed in [
        "series",
        "tasks",
        "models.name",
        "models.mase.*.*",
        "models.relative_mae.seasonal_naive",
        "models.relative_mae.last_value",
        "models.pinball_90",
        "models.coverage_80",
        "models.below_q90",
        "models.cpu_ms_per_forecast",
        "exceedance.recall",
        "exceedance.precision",
        "exceedance.median_lead_steps",
        "exceedance.false_alarms_per_day",
    ] {
        assert!(names.contains(needed), "{needed} is missing among {names:?}");
    }
    let text = names.into_iter().collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("fields_of_the_report", text);
    assert_eq!((report.series, report.tasks, report.skipped.len()), (5, 40, 0));
    let last_value = &report.models[0];
    assert_eq!(
        last_value.relative_mae.last_value,
        Some(1.0),
        "the reference is computed apart from the model"
    );
    assert!(json["models"][0]["mase"]["cpu"]["15"].is_number(), "kind, then horizon: {}", json["models"][0]);
}

/// The report without what depends on the machine.
fn timeless(mut report: Report) -> Report {
    (report.cpu_seconds, report.wall_seconds, report.threads) = (0.0, 0.0, 0);
    report.named_families.clear();
    for model in &mut report.models {
        model.cpu_ms_per_forecast = None;
        model.cpu_ms_per_fit = None;
        model.cpu_us_per_update = None;
        model.cpu_us_per_prediction = None;
    }
    report
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let of = |threads: &str| {
        let file = folder.path().join(threads);
        let dump = file.to_str().unwrap();
        let report =
            report(&args(&["--models", "last_value,holt_winters", "--threads", threads, "--dump", dump]));
        (timeless(report), std::fs::read_to_string(file).unwrap())
    };
    let (one, one_dump) = of("1");
    let (two, two_dump) = of("2");
    assert_eq!(one, two);
    assert!(one_dump == two_dump, "the dumps differ");
    assert_eq!(one_dump.lines().count(), 1 + 5 * 8 * 15 * 2, "one line for each step and model");
    assert!(one_dump.starts_with("series_id,origin,step,model,q10,q50,q90,actual\n"));
}

#[test]
fn the_dump_can_be_scored_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.csv");
    let args = args(&["--models", "last_value", "--kinds", "cpu", "--dump", file.to_str().unwrap()]);
    let report = report(&args);
    let dump = std::fs::read_to_string(file).unwrap();
    let series =
        read::read(&args.data, &Selection { kinds: vec!["cpu".into()], ..Selection::default() }).unwrap();
    let mut ratios = Vec::new();
    for series in &series {
        let task = task::Task::new(series, 8, 15).unwrap();
        let lines = dump.lines().filter(|line| line.starts_with(&format!("{},", series.id)));
        let errors = lines.filter_map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let (said, actual): (f64, f64) = (cells[5].parse().ok()?, cells[7].parse().ok()?);
            // The origin is the start of the first step, so the step counts from it.
            let origin: jiff::Timestamp = cells[1].parse().unwrap();
            let steps = (origin.as_millisecond() - series.start.unix_ms()) / series.step.ms();
            let at = steps as usize + cells[2].parse::<usize>().unwrap() - 1;
            assert!((series.values[at] - actual).abs() <= 1e-6 * actual.abs(), "{line}");
            Some((said - actual).abs())
        });
        ratios.push(score::mean(errors).unwrap() / task.scale.unwrap());
    }
    let again = report::significant(score::median(ratios).unwrap(), 3);
    let said = report::significant(report.models[0].mase["cpu"]["15"].unwrap(), 3);
    assert!((again - said).abs() <= 2e-3 * said, "the dump gives {again}, the report {said}");
}

#[test]
fn a_series_is_explained_in_words_and_drawn() {
    let args = args(&["--models", "last_value,holt_winters,extra_trees"]);
    let models = candidates::candidates(&args.models).unwrap();
    let series = read::read(&args.data, &Selection::default()).unwrap();
    let explained = explain::explain(&series[0], &models, &settings(&args)).unwrap();
    let text = explain::render(&explained);
    assert_eq!(explained.candidates.len(), 3);
    assert!(explained.candidates.is_sorted_by(|a, b| a.mae <= b.mae), "{text}");
    assert_eq!((explained.last_origins.len(), explained.forecast.len()), (5, 15));
    assert!(explained.last_origins.iter().all(|told| told.says.starts_with("off by ")), "{text}");
    assert!(text.contains("The last origins:") && text.contains("Candidates, the best one first:"), "{text}");
    assert!(plot::svg(&explained.plotted).contains("class=\"forecast\""));
}

#[test]
fn unknown_models_and_odd_settings_are_refused_with_what_there_is() {
    let said = candidates::candidates(&"theta,magic".parse().unwrap()).unwrap_err().to_string();
    assert!(said.starts_with("there is no model `magic`; there are: last_value, seasonal_naive"), "{said}");
    let said = candidates::candidates(&"median_and_tail".parse().unwrap()).unwrap_err().to_string();
    assert!(said.starts_with("`median_and_tail` needs the median and the tail of each step"), "{said}");
    for line in [
        &["--horizons", "0"][..],
        &["--origins", "x"],
        &["--plot", "a.svg"],
        &["--explain", "s", "--plot", "a.gif"],
    ] {
        let all: Vec<&str> = ["backtest", "--data", "d"].iter().chain(line).copied().collect();
        assert!(Line::try_parse_from(all).is_err(), "{line:?} is taken");
    }
}
