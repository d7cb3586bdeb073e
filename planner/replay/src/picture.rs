//! A picture of one seed: the services that passed their objectives, minute by minute, under each strategy.
use crate::run::Run;
use std::fmt::Write as _;

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 180.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const BAND: f64 = 14.0;
const GAP: f64 = 34.0;

/// Draws the runs of one seed, one block for each strategy and one row for each service that ever passed its objective.
/// Red is a minute in violation, a blue mark the begin of a move of the row's service.
pub fn svg(title: &str, runs: &[Run], services: &[String]) -> String {
    let minutes = runs.iter().map(|run| run.violated.len()).max().unwrap_or(0).max(1);
    let x = |minute: usize| LEFT + minute as f64 / minutes as f64 * (WIDTH - LEFT - RIGHT);
    let shown: Vec<usize> = (0..services.len())
        .filter(|service| {
            let violated = runs.iter().any(|run| run.violated.iter().any(|minute| minute[*service]));
            violated
                || runs.iter().flat_map(|run| &run.moves).any(|begun| begun.workload == services[*service])
        })
        .collect();
    let block = shown.len() as f64 * BAND + GAP;
    let height = TOP + block * runs.len() as f64;
    let mut body = String::new();
    for (at, run) in runs.iter().enumerate() {
        let top = TOP + at as f64 * block;
        let (name, sum, moves) = (run.kind.name(), run.violation_minutes(), run.moves.len());
        let _ = writeln!(
            body,
            r#"<text x="10" y="{:.0}" class="strategy">{name}: {sum} violation minutes, {moves} moves</text>"#,
            top - 6.0
        );
        for (row, service) in shown.iter().enumerate() {
            let y = top + row as f64 * BAND;
            let label = escaped(&services[*service]);
            let _ = writeln!(
                body,
                r#"<text x="{:.0}" y="{:.1}" class="row">{label}</text>"#,
                LEFT - 6.0,
                y + BAND - 4.0
            );
            let _ = writeln!(
                body,
                r#"<rect x="{LEFT}" y="{y:.1}" width="{:.1}" height="{:.1}" class="calm"/>"#,
                WIDTH - LEFT - RIGHT,
                BAND - 3.0
            );
            for (from, to) in stretches(&run.violated, *service) {
                let _ = writeln!(
                    body,
                    r#"<rect x="{:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" class="violated"/>"#,
                    x(from),
                    (x(to) - x(from)).max(1.0),
                    BAND - 3.0
                );
            }
            for begun in run.moves.iter().filter(|begun| begun.workload == services[*service]) {
                let at = x(begun.minute);
                let _ = writeln!(
                    body,
                    r#"<line x1="{at:.1}" x2="{at:.1}" y1="{y:.1}" y2="{:.1}" class="move"/>"#,
                    y + BAND - 3.0
                );
            }
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\">\n\
         <style>.calm{{fill:#e8efe8}}.violated{{fill:#c62828}}.move{{stroke:#1565c0;stroke-width:2.5}}\
         .row{{font-size:10px;text-anchor:end}}.strategy{{font-size:13px;font-weight:bold}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\">{}</text>\n{body}</svg>\n",
        escaped(title)
    )
}

/// Stretches of minutes in violation, from the first to the one after the last.
fn stretches(violated: &[Vec<bool>], service: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut begun = None;
    for (minute, services) in violated.iter().enumerate() {
        match (services[service], begun) {
            (true, None) => begun = Some(minute),
            (false, Some(from)) => {
                found.push((from, minute));
                begun = None;
            }
            _ => {}
        }
    }
    found.extend(begun.map(|from| (from, violated.len())));
    found
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::StrategyKind;

    #[test]
    fn a_stretch_is_one_box_and_names_cannot_break_the_picture() {
        let violated = [0, 1, 1, 0, 1].map(|now| vec![now == 1, false]).to_vec();
        assert_eq!(stretches(&violated, 0), [(1, 3), (4, 5)]);
        assert_eq!(stretches(&violated, 1), []);
        let run = Run {
            kind: StrategyKind::Foremesh,
            violated,
            moves: Vec::new(),
            move_caused: 0,
            cost: 0.0,
            minutes: Vec::new(),
        };
        let drawn = svg("a <b> & c", &[run], &["<cart>".to_owned(), "quiet".to_owned()]);
        assert_eq!(drawn.matches("class=\"violated\"").count(), 2);
        assert!(drawn.contains("&lt;cart&gt;") && drawn.contains("a &lt;b&gt; &amp; c"), "{drawn}");
        assert!(!drawn.contains("quiet"), "a service without violations and moves has no row");
        assert!(drawn.contains("foremesh: 3 violation minutes, 0 moves"), "{drawn}");
    }
}
