//! Answers as dockerd gives them, by a socket that says what it is told to.
use super::*;
use std::{collections::VecDeque, path::Path, sync::Mutex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
};

/// Answers with these one after the other, and keeps what was asked.
struct Played {
    directory: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

const VERSION: (u16, &str) = (200, r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#);

fn played(answers: &[(u16, &str)]) -> Played {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("docker.sock")).unwrap();
    let mut answers: VecDeque<(u16, String)> =
        answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Some((status, body)) = answers.pop_front() {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = vec![0; 65_536];
            let length = stream.read(&mut read).await.unwrap();
            let request = String::from_utf8_lossy(&read[..length]).into_owned();
            kept.lock().unwrap().push(request.lines().next().unwrap_or_default().to_owned());
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        // Whoever comes after that is not answered.
        std::future::pending::<()>().await;
    });
    Played { directory, asked }
}

impl Played {
    fn client(&self) -> Client {
        self.with(|_| {})
    }

    fn with(&self, change: impl FnOnce(&mut ClientSettings)) -> Client {
        let path: &Path = self.directory.path();
        let mut settings = ClientSettings::new(Endpoint::Unix(path.join("docker.sock")));
        change(&mut settings);
        Client::new(settings).unwrap()
    }
}

fn service() -> Service {
    serde_json::from_str(r#"{"ID":"abc","Version":{"Index":7},"Spec":{"Name":"web"}}"#).unwrap()
}

#[tokio::test]
async fn the_newest_version_of_the_dockerd_is_spoken() {
    for (told, spoken) in [("1.41", "1.41"), ("1.40", "1.40"), ("1.52", "1.52"), ("1.99", "1.99")] {
        let version = format!(r#"{{"ApiVersion":"{told}"}}"#);
        let played = played(&[(200, &version), (200, "[]"), (404, r#"{"message":"no such service"}"#)]);
        let client = played.client();
        assert_eq!(client.nodes().await.unwrap(), Vec::new());
        assert!(client.service("a b").await.unwrap().is_none());
        let asked = played.asked.lock().unwrap().clone();
        let expected = [
            "GET /version HTTP/1.1".to_owned(),
            format!("GET /v{spoken}/nodes HTTP/1.1"),
            format!("GET /v{spoken}/services/a%20b HTTP/1.1"),
        ];
        assert_eq!(asked, expected);
    }
    for (told, problem) in [("1.39", "1.40 is needed"), ("one", "has version `one`")] {
        let version = format!(r#"{{"ApiVersion":"{told}"}}"#);
        let error = played(&[(200, &version)]).client().nodes().await.unwrap_err();
        assert!(error.why == Why::Version && error.to_string().contains(problem), "{error}");
    }
}

#[tokio::test]
async fn writes_say_whether_somebody_was_quicker() {
    let spec = Spec::new(r#"{"Name":"web"}"#).unwrap();
    for (status, body, written) in [
        (200, r#"{"Warnings":null}"#, Ok(Written::Stored)),
        (
            500,
            r#"{"message":"rpc error: code = Unknown desc = update out of sequence"}"#,
            Ok(Written::Overtaken),
        ),
        (400, r#"{"message":"update out of sequence"}"#, Ok(Written::Overtaken)),
        (404, r#"{"message":"service abc not found"}"#, Ok(Written::Overtaken)),
        (
            400,
            r#"{"message":"invalid reference format"}"#,
            Err("service `web`: dockerd answers 400: invalid reference format; "),
        ),
        (
            503,
            r#"{"message":"This node is not a swarm manager."}"#,
            Err("This node is not a swarm manager.; run the planner on a manager"),
        ),
    ] {
        let played = played(&[VERSION, (status, body)]);
        let outcome = played.client().update(&service(), &spec).await;
        match (outcome, written) {
            (Ok(outcome), Ok(written)) => assert_eq!(outcome, written, "{body}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (outcome, _) => panic!("{body}: {outcome:?}"),
        }
        let asked = played.asked.lock().unwrap().last().cloned().unwrap();
        assert_eq!(asked, "POST /v1.41/services/abc/update?version=7 HTTP/1.1");
    }
    let played = played(&[VERSION, (409, r#"{"message":"name conflicts"}"#), (404, "{}")]);
    let client = played.client();
    assert_eq!(client.create("web", &spec).await.unwrap(), Written::Overtaken);
    client.remove("abc").await.unwrap();
}

#[tokio::test]
async fn answers_are_bounded_in_time_and_length_and_understood_or_not() {
    let long = format!("[{}]", " ".repeat(2_000));
    let client = played(&[VERSION, (200, &long)]);
    let error = client.with(|settings| settings.answer_bytes = 1_000).nodes().await.unwrap_err();
    assert!(error.why == Why::Unreachable && error.to_string().contains("length limit exceeded"), "{error}");
    let silent = played(&[VERSION]);
    let error =
        silent.with(|settings| settings.deadline = Duration::from_millis(200)).nodes().await.unwrap_err();
    assert!(error.to_string().contains("it did not answer /v1.41/nodes within 200ms"), "{error}");
    let other = played(&[VERSION, (200, r#"{"not":"a list"}"#)]);
    let error = other.client().nodes().await.unwrap_err();
    assert!(error.why == Why::Answer && error.to_string().contains("is not understood"), "{error}");
    let page = played(&[(200, "<html>")]);
    assert_eq!(page.client().nodes().await.unwrap_err().why, Why::Answer);
}
