//! A picture of a series with its forecasts, as SVG.
use super::{replay::ForecastStep, report::significant};
use std::fmt::Write as _;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 50.0;

/// Ticks that fit.
const X_TICKS: usize = 6;
const Y_TICKS: f64 = 5.0;

/// What a picture shows.
#[derive(Clone, Debug, Default)]
pub struct Plotted {
    /// Above the picture.
    pub title: String,
    /// Whose forecasts they are.
    pub model: String,
    /// Start of the series, in milliseconds since 1970.
    pub start_ms: i64,
    /// Length of a step, in milliseconds.
    pub step_ms: i64,
    /// Index of the first value that is shown.
    pub from: usize,
    /// Values from there on.
    pub values: Vec<f64>,
    /// Index of the first step, and the steps, of each forecast.
    pub forecasts: Vec<(usize, Vec<ForecastStep>)>,
    /// Value that counts as high.
    pub threshold: f64,
}

/// Draws it.
pub fn svg(plotted: &Plotted) -> String {
    let (low, high) = range(plotted);
    let count = plotted.values.len().max(2);
    let x = |index: f64| LEFT + (index - plotted.from as f64) / (count - 1) as f64 * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let mut body = String::new();
    axes(&mut body, plotted, (low, high), x, y);
    for (origin, steps) in &plotted.forecasts {
        let place = |ahead: usize| x((origin + ahead) as f64);
        let bands: Vec<(usize, [f64; 2])> =
            steps.iter().enumerate().filter_map(|(ahead, step)| Some((ahead, step.band?))).collect();
        if !bands.is_empty() {
            let upper = bands.iter().map(|(ahead, [_, high])| (place(*ahead), y(*high)));
            let lower = bands.iter().rev().map(|(ahead, [low, _])| (place(*ahead), y(*low)));
            let points = join(upper.chain(lower));
            let _ = writeln!(body, r#"<polygon points="{points}" class="band"/>"#);
        }
        let points = join(steps.iter().enumerate().map(|(ahead, step)| (place(ahead), y(step.point))));
        let _ = writeln!(body, r#"<polyline points="{points}" class="forecast"/>"#);
        let at = place(0);
        let _ = writeln!(
            body,
            r#"<line x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{:.1}" class="origin"/>"#,
            HEIGHT - BOTTOM
        );
    }
    for run in runs(plotted) {
        let points = join(run.iter().map(|(index, value)| (x(*index as f64), y(*value))));
        let class = if run.len() == 1 { "actual lone" } else { "actual" };
        let _ = writeln!(body, r#"<polyline points="{points}" class="{class}"/>"#);
    }
    legend(&mut body, &plotted.model);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="13">
<style>
.actual {{ fill: none; stroke: #222; stroke-width: 1.4; }}
.lone {{ stroke-linecap: round; stroke-width: 4; }}
.forecast {{ fill: none; stroke: #c2410c; stroke-width: 2; }}
.band {{ fill: #fb923c; fill-opacity: 0.35; }}
.origin {{ stroke: #c2410c; stroke-width: 1; stroke-dasharray: 2 4; }}
.grid {{ stroke: #ddd; stroke-width: 1; }}
.threshold {{ stroke: #1d4ed8; stroke-width: 1.2; stroke-dasharray: 8 4; }}
</style>
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>
<text x="{LEFT}" y="24" font-size="16" font-weight="bold">{}</text>
{body}</svg>
"#,
        escaped(&plotted.title)
    )
}

/// Lowest and highest value that is drawn, with some air.
fn range(plotted: &Plotted) -> (f64, f64) {
    let steps = plotted.forecasts.iter().flat_map(|(_, steps)| steps);
    let drawn = steps.flat_map(|step| {
        let [low, high] = step.band.unwrap_or([step.point; 2]);
        [low, high, step.point]
    });
    let all = plotted.values.iter().copied().chain(drawn).filter(|value| value.is_finite());
    let (low, high) =
        all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    let air = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-9);
    (if low >= 0.0 { (low - air).max(0.0) } else { low - air }, high + air)
}

/// Values in a row, with the index of each; gaps are between the runs.
fn runs(plotted: &Plotted) -> Vec<Vec<(usize, f64)>> {
    let mut runs: Vec<Vec<(usize, f64)>> = vec![Vec::new()];
    for (at, value) in plotted.values.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if value.is_finite() => run.push((plotted.from + at, *value)),
            Some(run) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn axes(
    body: &mut String,
    plotted: &Plotted,
    (low, high): (f64, f64),
    x: impl Fn(f64) -> f64,
    y: impl Fn(f64) -> f64,
) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let tick = nice((high - low) / Y_TICKS);
    let mut value = (low / tick).ceil() * tick;
    while value <= high {
        let at = y(value);
        let _ = writeln!(
            body,
            r#"<line x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}" class="grid"/><text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 8.0,
            at + 4.0,
            significant(value, 4)
        );
        value += tick;
    }
    let count = plotted.values.len().max(1);
    for number in 0..X_TICKS {
        let index = plotted.from + number * (count - 1) / (X_TICKS - 1);
        let at_ms = plotted.start_ms.saturating_add(plotted.step_ms.saturating_mul(index as i64));
        let time = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
        let anchor = if number + 1 == X_TICKS { "end" } else { "middle" };
        let _ = writeln!(
            body,
            r#"<text x="{:.1}" y="{}" text-anchor="{anchor}">{}</text>"#,
            x(index as f64),
            bottom + 22.0,
            time.strftime("%b %d %H:%M")
        );
    }
    if (low..=high).contains(&plotted.threshold) {
        let at = y(plotted.threshold);
        let _ =
            writeln!(body, r#"<line x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}" class="threshold"/>"#);
    }
}

fn legend(body: &mut String, model: &str) {
    let entries = [
        ("actual", "measured".to_owned()),
        ("forecast", format!("{model}, median")),
        ("band", "80 % band".to_owned()),
        ("threshold", "95th percentile before".to_owned()),
    ];
    let mut at = LEFT;
    for (class, text) in entries {
        let mark = if class == "band" {
            format!(r#"<rect x="{at}" y="40" width="26" height="12" class="band"/>"#)
        } else {
            format!(r#"<line x1="{at}" x2="{}" y1="46" y2="46" class="{class}"/>"#, at + 26.0)
        };
        let _ = writeln!(body, r#"{mark}<text x="{}" y="50">{}</text>"#, at + 32.0, escaped(&text));
        at += 60.0 + 7.5 * text.chars().count() as f64;
    }
}

/// The next larger one of 1, 2, 5 times a power of ten.
fn nice(width: f64) -> f64 {
    let power = 10_f64.powf(width.log10().floor());
    let lead = width / power;
    let lead = [1.0, 2.0, 5.0].into_iter().find(|nice| lead <= *nice).unwrap_or(10.0);
    lead * power
}

fn join(points: impl Iterator<Item = (f64, f64)>) -> String {
    points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stay_gaps_and_nothing_odd_breaks_the_picture() {
        let step = |point| ForecastStep { point, band: Some([point - 1.0, point + 1.0]) };
        let plotted = Plotted {
            title: "a<b & c".into(),
            model: "combined".into(),
            step_ms: 60_000,
            from: 5,
            values: vec![1.0, 2.0, f64::NAN, 4.0, 5.0, 3.0],
            forecasts: vec![(8, vec![step(4.0), step(5.0), step(6.0)])],
            threshold: 4.5,
            ..Plotted::default()
        };
        let picture = svg(&plotted);
        assert_eq!(picture.matches(r#"class="actual"/>"#).count(), 3, "two runs and the legend: {picture}");
        assert_eq!(picture.matches("<polygon").count(), 1);
        assert!(picture.contains("a&lt;b &amp; c") && !picture.contains("NaN"), "{picture}");
        for values in [vec![], vec![f64::NAN], vec![3.0; 4], vec![1e300, -1e300]] {
            let picture = svg(&Plotted { values, forecasts: Vec::new(), ..plotted.clone() });
            assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
        }
    }

    #[test]
    fn ticks_are_round() {
        for (width, want) in [(0.9, 1.0), (1.3, 2.0), (4.0, 5.0), (7.0, 10.0), (0.013, 0.02)] {
            assert!((nice(width) - want).abs() < 1e-9, "{width} gives {}, not {want}", nice(width));
        }
    }
}
