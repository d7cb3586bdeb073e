use super::*;
use flate2::{Compression, write::GzEncoder};
use std::{fs, io::Write as _};

const INDEX: &str = "series_id,source,step_seconds,kind,unit,entity,family,file,start,end,note\n\
     a/cpu,\"x, y\",60,cpu,percent,e,a,a.csv.gz,2026-01-01T00:00:00Z,2026-01-01T00:03:00Z,\n\
     b/rps,z,60,requests,req/s,e,b,b.csv,2026-01-01T00:00:00Z,2026-01-01T00:01:00Z,none\n";

fn folder(index: &str, a: &str, b: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("index.csv"), index).unwrap();
    fs::write(folder.path().join("b.csv"), b).unwrap();
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    file.write_all(a.as_bytes()).unwrap();
    fs::write(folder.path().join("a.csv.gz"), file.finish().unwrap()).unwrap();
    folder
}

const A: &str = "series_id,timestamp,value,unit\na/cpu,2026-01-01T00:00:00Z,1.5,percent\na/cpu,2026-01-01T00:03:00Z,2,percent\n";
const B: &str = "timestamp,value,series_id,more\n2026-01-01T00:01:00Z,7,b/rps,\n";

#[test]
fn values_stand_on_their_grid_and_gaps_stay_gaps() {
    let folder = folder(INDEX, A, B);
    let series = read(folder.path(), &Selection::default()).unwrap();
    let said: Vec<String> = series
        .iter()
        .map(|s| format!("{} {} {} {} {:?}", s.id, s.kind, s.unit, s.family, s.values))
        .collect();
    assert_eq!(
        said,
        ["a/cpu cpu percent a [1.5, NaN, NaN, 2.0]", "b/rps requests req/s b [NaN, 7.0]"],
        "columns may stand in any order, and unknown ones are ignored"
    );
    let selection = Selection { kinds: vec!["requests".into()], ..Selection::default() };
    assert_eq!(read(folder.path(), &selection).unwrap().len(), 1);
}

#[test]
fn what_is_wrong_is_said_with_file_line_value_and_remedy() {
    let time = "2026-01-01T00:00:00Z";
    let row = |text: &str| format!("series_id,timestamp,value\n{text}\n");
    let cases = [
        (
            INDEX.replace(",kind", ",sort"),
            A.to_owned(),
            "index.csv has no column `kind`; its first line must name",
        ),
        (
            INDEX.replace(",60,cpu", ",0,cpu"),
            A.to_owned(),
            "index.csv, line 2: step_seconds is `0`, but must be a positive",
        ),
        (
            INDEX.replace("2026-01-01T00:03:00Z", "later"),
            A.to_owned(),
            "index.csv, line 2: end is `later`, but must be a time",
        ),
        (
            INDEX.replace("00:03:00Z", "00:03:00Z\nb"),
            A.to_owned(),
            "index.csv, line 3: 2 cells, but the columns need at least 10",
        ),
        (INDEX.replace("b/rps", "a/cpu"), A.to_owned(), "index.csv, line 3: series a/cpu was named before"),
        (
            INDEX.to_owned(),
            row(&format!("a/cpu,{time},fast")),
            "a.csv.gz, line 2: value is `fast`, but must be a finite number",
        ),
        (
            INDEX.to_owned(),
            row(&format!("a/cpu,{time},NaN")),
            "a.csv.gz, line 2: value is `NaN`, but must be a finite number",
        ),
        (INDEX.to_owned(), row("a/cpu,noon,1"), "a.csv.gz, line 2: timestamp is `noon`, but must be a time"),
        (
            INDEX.to_owned(),
            row(&format!("a/cpu,{time},1\na/cpu,{time},2")),
            "line 3: the time 2026-01-01T00:00:00Z of series a/cpu is not after the one before",
        ),
        (
            INDEX.to_owned(),
            row("a/cpu,2026-01-01T00:00:30Z,1"),
            "line 2: the time 2026-01-01T00:00:30Z of series a/cpu is not on its grid",
        ),
        (
            INDEX.to_owned(),
            row("a/cpu,2026-01-01T00:04:00Z,1"),
            "is not between its start and end; correct them",
        ),
        (
            INDEX.to_owned(),
            row("a/cpu,2025-12-31T23:59:00Z,1"),
            "is not between its start and end; correct them",
        ),
        (INDEX.to_owned(), row(&format!("other,{time},1")), "series a/cpu has no row in"),
        (INDEX.replace("a.csv.gz", "no.csv.gz"), A.to_owned(), "no.csv.gz; check the path"),
        (INDEX.replace(",a.csv.gz", ",b.csv.gz"), A.to_owned(), "b.csv.gz; check the path"),
    ];
    for (index, a, want) in cases {
        let folder = folder(&index, &a, B);
        let said = read(folder.path(), &Selection::default()).unwrap_err().to_string();
        assert!(said.contains(want), "it says `{said}`, which lacks `{want}`");
    }
}

#[test]
fn a_file_that_only_claims_to_be_compressed_is_an_error() {
    let folder = folder(INDEX, A, B);
    fs::write(folder.path().join("a.csv.gz"), A).unwrap();
    let said = read(folder.path(), &Selection::default()).unwrap_err();
    assert!(matches!(said, ReadError::Io { .. }), "{said}");
}

#[test]
fn a_filter_for_something_unknown_says_what_there_is() {
    let folder = folder(INDEX, A, B);
    for (selection, want) in [
        (
            Selection { kinds: vec!["speed".into()], ..Selection::default() },
            "there is no kind `speed`; there are: cpu, requests",
        ),
        (
            Selection { families: vec!["c".into()], ..Selection::default() },
            "there is no family `c`; there are: a, b",
        ),
        (
            Selection { series: vec!["x".into()], ..Selection::default() },
            "there is no series `x`; there are: a/cpu, b/rps",
        ),
    ] {
        assert_eq!(read(folder.path(), &selection).unwrap_err().to_string(), want);
    }
}
