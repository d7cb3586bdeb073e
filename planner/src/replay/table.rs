//! The comparison for people.
use comfy_table::{Table, presets};
use foremesh_replay::{Compared, StrategyKind};

/// One row for each strategy.
pub(super) fn render(compared: &Compared) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "STRATEGY",
        "VIOLATION MIN",
        "PREVENTED",
        "MOVES",
        "REGRETTED",
        "WRONG",
        "MOVE-CAUSED MIN",
        "WORST SEED",
        "COST",
    ]);
    for kind in StrategyKind::ALL {
        let Some(figures) = compared.strategies.get(kind.name()) else { continue };
        let prevented = compared.prevented_share.get(kind.name()).copied().flatten();
        table.add_row([
            kind.name().to_owned(),
            figures.violation_minutes.to_string(),
            prevented.map_or_else(|| "-".to_owned(), |share| format!("{share:.2}")),
            figures.moves.to_string(),
            format!("{:.0} %", figures.regret_share * 100.0),
            figures.wrong_moves.to_string(),
            figures.move_caused_violation_minutes.to_string(),
            format!("{:+}", figures.worst_seed_excess),
            format!("{:.2}", figures.cost),
        ]);
    }
    format!("{table}\nseeds: {}; PREVENTED is the share of what the oracle prevents", compared.seeds)
}
