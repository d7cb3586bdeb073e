//! The JSON that a server answers with.
use foremesh_core::time::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One series of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromSeries {
    /// Its labels, `__name__` among them where the query keeps it.
    pub labels: BTreeMap<String, String>,
    /// Its samples, oldest first and each time once. Values may be infinite, but never `NaN`: what the server marks so
    /// (a stale series, a division of nothing by nothing) is no sample.
    pub samples: Vec<(Timestamp, f64)>,
}

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The series, ordered by their labels.
    pub series: Vec<PromSeries>,
    /// What the server warns of, each once: then the answer may be partial.
    pub warnings: Vec<String>,
    /// What the server notes, each once, such as a rate over something that is no counter.
    pub infos: Vec<String>,
}

impl Answer {
    /// Time of the newest sample.
    pub fn newest(&self) -> Option<Timestamp> {
        self.series.iter().filter_map(|series| series.samples.last()).map(|(at, _)| *at).max()
    }

    /// Adds the answer to the next piece of the same range.
    pub(super) fn extend(&mut self, next: Self) {
        let mut by_labels: BTreeMap<_, _> = std::mem::take(&mut self.series)
            .into_iter()
            .map(|series| (series.labels, series.samples))
            .collect();
        for series in next.series {
            let samples = by_labels.entry(series.labels).or_default();
            let after = samples.last().map(|(at, _)| *at);
            samples.extend(series.samples.into_iter().filter(|(at, _)| after.is_none_or(|last| *at > last)));
        }
        self.series = by_labels.into_iter().map(|(labels, samples)| PromSeries { labels, samples }).collect();
        note(&mut self.warnings, next.warnings);
        note(&mut self.infos, next.infos);
    }
}

fn note(all: &mut Vec<String>, new: Vec<String>) {
    for text in new {
        if !all.contains(&text) {
            all.push(text);
        }
    }
}

/// The envelope of every answer.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    pub(super) status: String,
    #[serde(default)]
    data: Option<Found>,
    #[serde(default, rename = "errorType")]
    pub(super) error_type: String,
    #[serde(default)]
    pub(super) error: String,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Found {
    Matrix(Vec<Row>),
    Vector(Vec<Row>),
    Scalar(Sample),
    String(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    value: Option<Sample>,
    #[serde(default)]
    values: Vec<Sample>,
}

/// Seconds since 1970 as a number, and the value as text, because JSON knows no `NaN`.
#[derive(Debug, Deserialize)]
struct Sample(f64, String);

impl Envelope {
    /// The series of a successful answer.
    pub(super) fn into_answer(self) -> Result<Answer, String> {
        let rows = match self.data {
            Some(Found::Matrix(rows) | Found::Vector(rows)) => rows,
            Some(Found::Scalar(sample)) => {
                vec![Row { metric: BTreeMap::new(), value: Some(sample), values: Vec::new() }]
            }
            Some(Found::String(_)) => return Err("the result is a text, not numbers".to_owned()),
            None => return Err("it has no `data`".to_owned()),
        };
        let mut answer = Answer::default();
        note(&mut answer.warnings, self.warnings);
        note(&mut answer.infos, self.infos);
        for row in rows {
            let mut samples = Vec::with_capacity(row.values.len() + 1);
            for Sample(seconds, text) in row.values.into_iter().chain(row.value) {
                let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
                if !value.is_nan() && seconds.is_finite() {
                    samples.push((Timestamp::from_unix_ms((seconds * 1e3).round() as i64), value));
                }
            }
            samples.sort_by_key(|(at, _)| *at);
            samples.dedup_by_key(|(at, _)| *at);
            answer.series.push(PromSeries { labels: row.metric, samples });
        }
        answer.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<Answer, String> {
        serde_json::from_str::<Envelope>(text).map_err(|error| error.to_string())?.into_answer()
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    #[test]
    fn samples_are_in_order_once_and_never_nan() {
        let got = answer(
            r#"{"status":"success","data":{"resultType":"matrix","result":[
                {"metric":{"b":"2"},"values":[[3,"7"],[1.5,"1"],[2,"NaN"],[3,"8"],[4,"+Inf"]],"histograms":[]},
                {"metric":{"a":"1"},"values":[]}]},
               "warnings":["one store is away","one store is away"],"infos":["no counter"],"futureField":1}"#,
        )
        .unwrap();
        assert_eq!(got.series[0].labels.get("a").map(String::as_str), Some("1"));
        assert_eq!(got.series[1].samples, [(at(1500), 1.0), (at(3000), 7.0), (at(4000), f64::INFINITY)]);
        assert_eq!(got.warnings, ["one store is away"]);
        assert_eq!(got.infos, ["no counter"]);
        assert_eq!(got.newest(), Some(at(4000)));
    }

    #[test]
    fn vectors_and_scalars_are_series_of_one_sample() {
        let vector =
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}"#;
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
        assert_eq!(answer(vector), answer(scalar));
        assert_eq!(answer(vector).unwrap().series[0].samples, [(at(1000), 2.0)]);
    }

    #[test]
    fn what_is_not_numbers_is_refused() {
        for (text, want) in [
            (r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#, "is a text"),
            (
                r#"{"status":"success","data":{"resultType":"scalar","result":[1,"x"]}}"#,
                "`x` is not a number",
            ),
            (r#"{"status":"success"}"#, "no `data`"),
        ] {
            let error = answer(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    #[test]
    fn pieces_of_a_range_become_one() {
        let piece = |from: i64, n: i64| Answer {
            series: vec![PromSeries {
                labels: BTreeMap::new(),
                samples: (from..from + n).map(|t| (at(t), 1.0)).collect(),
            }],
            ..Answer::default()
        };
        let mut whole = piece(0, 3);
        whole.extend(piece(2, 4));
        let times: Vec<i64> = whole.series[0].samples.iter().map(|(at, _)| at.unix_ms()).collect();
        assert_eq!(times, [0, 1, 2, 3, 4, 5]);
    }
}
