//! The report for people.
use super::{EffectReport, EventsReport, Ratio};
use comfy_table::{Table, presets::NOTHING};

/// The whole report as text.
pub fn render(report: &EventsReport) -> String {
    let seeds = report.seeds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "EFFECT",
        "SEED",
        "TASKS",
        "OURS",
        "IGNORING",
        "KNOWN",
        "PROPHET",
        "OURS/PROPHET",
        "KNOWN/PROPHET",
        "OURS/IGNORING",
        "OTHER STEPS",
        "PROPHET THERE",
        "COVER 80",
    ]);
    for effect in &report.effects {
        table.add_row(row(effect));
    }
    format!(
        "{} tasks on {} series with {} past events on average, {} refused; seeds {seeds}; {} steps ahead, events of {} \
         steps, {:.0} % noise on the effect\n\
         Errors are in units of the seasonal naive error, within the event where no other steps are named. Ratios are of \
         means, with the 90 % interval over series, and then the geometric mean over tasks.\n{table}",
        report.tasks,
        report.series,
        report.mean_occurrences,
        report.refused,
        report.horizon,
        report.length,
        100.0 * report.noise,
    )
}

fn row(effect: &EffectReport) -> [String; 13] {
    let figure = |value: f64| format!("{value:.2}");
    [
        effect.effect.name().to_owned(),
        effect.seed.map_or("all".to_owned(), |seed| seed.to_string()),
        effect.tasks.to_string(),
        figure(effect.in_event.ours),
        figure(effect.in_event.ignoring),
        figure(effect.in_event.known),
        figure(effect.in_event.prophet),
        ratio(effect.ours_by_prophet),
        ratio(effect.known_by_prophet),
        ratio(effect.ours_by_ignoring),
        figure(effect.other_steps.ours),
        figure(effect.other_steps.prophet),
        effect.band_80.map_or("-".to_owned(), figure),
    ]
}

fn ratio(ratio: Option<Ratio>) -> String {
    ratio.map_or("-".to_owned(), |ratio| {
        let [low, high] = ratio.of_means_90;
        format!("{:.2} ({low:.2} to {high:.2}), {:.2}", ratio.of_means, ratio.geometric)
    })
}
