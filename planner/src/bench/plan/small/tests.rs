//! The exact solver and trying every layout, beside one another.
use super::*;

const CASES: u64 = 24;

/// What trying every layout says and what the solver says, where anybody is at risk.
fn both() -> Vec<(u64, f64, f64)> {
    let one = |number| {
        let both = in_space(7, number, false, |space, units, places| {
            let staying = space.cost().total();
            let tried = tried(space, units, staying);
            Ok((number, tried, columns(space, units, places, staying).solved()?))
        });
        both.unwrap()
    };
    (1..=CASES).filter_map(one).collect()
}

#[test]
fn where_nobody_waits_the_solver_says_what_trying_every_layout_says() {
    let answers = both();
    for (number, tried, solved) in &answers {
        assert!((tried - solved).abs() <= SAME * (1.0 + tried.abs()), "{number}: {tried} and {solved}");
    }
    let improvable = answers.iter().filter(|(_, tried, _)| *tried < -SAME).count();
    assert!(improvable as u64 >= CASES / 2, "only {improvable} of {CASES} leave anything to gain");
}

#[test]
fn the_solver_is_asked_where_nobody_waits_and_only_there() {
    let made: Vec<(u64, Case)> =
        (1..=9).filter_map(|number| Some((number, case(7, number).unwrap()?))).collect();
    for (number, case) in &made {
        assert_eq!(case.agrees(), !waits(*number), "{number}");
        assert!(case.found >= case.exact - SAME, "{number}: better than the best");
    }
    let cases: Vec<Case> = made.iter().map(|(_, case)| *case).collect();
    let report = report(&cases);
    let asked = made.iter().filter(|(number, _)| !waits(*number)).count();
    assert_eq!((report.cases, report.asked, report.agreed), (made.len(), asked, asked));
}
