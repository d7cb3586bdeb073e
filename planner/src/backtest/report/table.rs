//! The report for people.
use super::{ExceedanceReport, Figure, Report};
use comfy_table::{Table, presets::NOTHING};
use std::fmt::Write as _;

/// The whole report as text.
pub fn render(report: &Report) -> String {
    let mut text = format!(
        "{} series, {} forecasts of each model, horizons {} steps\n\n",
        report.series,
        report.tasks,
        report.horizons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    );
    let _ = writeln!(text, "{}\n", models(report));
    let _ = writeln!(
        text,
        "Error relative to the better of last value and exponential smoothing, by kind:\n{}\n",
        kinds(report)
    );
    let _ = writeln!(text, "{}", exceedance(&report.exceedance));
    for sentence in &report.named_families {
        let _ = writeln!(text, "{sentence}");
    }
    if !report.skipped.is_empty() {
        let _ = writeln!(text, "Too short for the horizon: {}", report.skipped.join(", "));
    }
    let _ = write!(
        text,
        "{:.0} s on {} threads, {:.0} s of CPU",
        report.wall_seconds, report.threads, report.cpu_seconds
    );
    text
}

fn models(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "MODEL",
        "VS SEASON",
        "VS LAST",
        "VS BEST SIMPLE",
        "PINBALL 90",
        "COVER 80",
        "BELOW Q90",
        "MS/FORECAST",
        "MS/FIT",
        "REFIT EVERY",
        "FAILED",
        "FELL BACK",
    ]);
    for model in &report.models {
        table.add_row([
            model.name.clone(),
            number(model.relative_mae.seasonal_naive),
            number(model.relative_mae.last_value),
            number(model.relative_mae.best_of_last_value_and_ses),
            number(model.pinball_90),
            number(model.coverage_80),
            number(model.below_q90),
            number(model.cpu_ms_per_forecast),
            number(model.cpu_ms_per_fit),
            model.refit_every_origins.map_or_else(|| "once".to_owned(), |every| every.to_string()),
            model.failures.to_string(),
            model.fallbacks.to_string(),
        ]);
    }
    table
}

fn kinds(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let kinds: Vec<&String> =
        report.models.first().map(|model| model.by_kind.keys().collect()).unwrap_or_default();
    let names = kinds.iter().map(|kind| kind.to_uppercase());
    table.set_header(std::iter::once("MODEL".to_owned()).chain(names));
    for model in &report.models {
        let of_kind = |kind: &&String| {
            number(model.by_kind.get(*kind).and_then(|group| group.relative_mae.best_of_last_value_and_ses))
        };
        table.add_row(std::iter::once(model.name.clone()).chain(kinds.iter().map(of_kind)));
    }
    table
}

fn exceedance(report: &ExceedanceReport) -> String {
    let Some(model) = &report.model else {
        return "No model that took part has breach probabilities.\n".to_owned();
    };
    format!(
        "Warnings of {model} at probability {}: recall {}, precision {}, median lead {} steps, {} false alarms a day \
         ({} episodes, {} alarms, {} days of series); as claims of one horizon each: precision {}, {} false ones a day; Brier score {} (base rate {}), calibration error {}\n",
        report.probability,
        number(report.all.recall),
        number(report.all.precision),
        number(report.all.median_lead_steps),
        number(report.all.false_alarms_per_day),
        report.all.episodes,
        report.all.alarms,
        report.all.series_days,
        number(report.all.claim_precision),
        number(report.all.false_claims_per_day),
        number(report.calibration.brier),
        number(report.calibration.brier_of_base_rate),
        number(report.calibration.expected_error),
    )
}

fn number(figure: Figure) -> String {
    figure.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
