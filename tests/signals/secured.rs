//! A real Prometheus behind TLS and a password, and one behind a proxy that wants a token.
use super::{
    guard::TokenGuard,
    rig::{Running, SOON, now, port, prometheus},
};
use foremesh::signals::{
    prometheus::{ClientSettings, PrometheusClient},
    status::SourceStatus,
};
use foremesh_tests::until;
use std::{fs, path::Path, process::Command};

const USER: &str = "planner";
const PASSWORD: &str = "correct horse";
/// That password by bcrypt, as `htpasswd -B` writes it.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

fn openssl(directory: &Path, arguments: &str) {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
    let run = run.expect("openssl is there; run `scripts/setup signals`");
    assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
}

/// An authority `NAME.pem` with its key.
fn authority(directory: &Path, name: &str) {
    openssl(
        directory,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} -keyout \
             {name}.key -out {name}.pem"
        ),
    );
}

/// A certificate of an authority for a server on loopback.
fn certificate(directory: &Path, authority: &str) {
    fs::write(
        directory.join("server.ext"),
        "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n",
    )
    .unwrap();
    openssl(
        directory,
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server -keyout server.key -out \
         server.csr",
    );
    openssl(
        directory,
        &format!(
            "x509 -req -in server.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 -extfile \
             server.ext -out server.pem"
        ),
    );
}

/// The planner's status of Prometheus once it was asked, with these settings beside its address.
async fn asked(url: &str, more: &str) -> SourceStatus {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("prometheus: {{url: '{url}', interval: 1h, timeout: 5s, backfill: 1m, {more}}}");
    let running = Running::start(folder.path(), 2000, &settings).await;
    until("an answer, or why there is none", SOON, async || {
        let status = running.status("prometheus");
        if status.reads + status.failures > 0 { Ok(status) } else { Err(format!("{status:?}")) }
    })
    .await
}

#[tokio::test]
async fn only_the_right_authority_and_password_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    authority(folder.path(), "ours");
    authority(folder.path(), "theirs");
    certificate(folder.path(), "ours");
    fs::write(
        at("web.yml"),
        format!(
            "tls_server_config: {{cert_file: server.pem, key_file: server.key}}\nbasic_auth_users: {{{USER}: '{HASH}'}}\n"
        ),
    )
    .unwrap();
    for (name, text) in [
        ("right", format!("{PASSWORD}\n")),
        ("wrong", "horse correct".to_owned()),
        ("empty", "\n".to_owned()),
    ] {
        fs::write(at(name), text).unwrap();
    }
    let port = port();
    let web = format!("--web.config.file={}", at("web.yml"));
    let _server = prometheus(folder.path(), port, None, &[&web]).await;
    let url = format!("https://127.0.0.1:{port}");
    let basic = |file: &str| format!("basicAuth: {{username: {USER}, passwordFile: '{}'}}", at(file));
    let ca = |file: &str| format!("caFile: '{}'", at(file));
    let certificate = "check the server's certificate, and `caFile`";
    let credential = "check `bearerTokenFile` or `basicAuth`";
    for (case, url, more, want) in [
        ("right", &url, format!("{}, {}", ca("ours.pem"), basic("right")), None),
        (
            "another authority",
            &url,
            format!("{}, {}", ca("theirs.pem"), basic("right")),
            Some(["UnknownIssuer", certificate]),
        ),
        ("no authority", &url, basic("right"), Some(["UnknownIssuer", certificate])),
        (
            "another name",
            &format!("https://localhost:{port}"),
            format!("{}, {}", ca("ours.pem"), basic("right")),
            Some(["certificate", certificate]),
        ),
        (
            "wrong password",
            &url,
            format!("{}, {}", ca("ours.pem"), basic("wrong")),
            Some(["answered 401", credential]),
        ),
        ("no password", &url, ca("ours.pem"), Some(["answered 401", credential])),
        (
            "empty password",
            &url,
            format!("{}, {}", ca("ours.pem"), basic("empty")),
            Some(["it is empty", "check its owner"]),
        ),
        (
            "plain",
            &format!("http://127.0.0.1:{port}"),
            basic("right"),
            Some(["answered 400", "HTTP request to an HTTPS server"]),
        ),
    ] {
        let status = asked(url, &more).await;
        let Some(words) = want else {
            assert_eq!((status.reads, status.failures, &status.error), (1, 0, &None), "case {case}");
            continue;
        };
        let error = status.error.clone().unwrap_or_default();
        assert_eq!((status.reads, status.failures), (0, 1), "case {case}: {status:?}");
        for word in words.iter().chain([&&**url]) {
            assert!(error.contains(word), "case {case}: `{word}` is missing in: {error}");
        }
        for secret in [PASSWORD, "horse correct"] {
            assert!(!error.contains(secret), "case {case} tells a secret: {error}");
        }
    }
}

#[test]
fn an_authority_that_cannot_be_read_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    for (content, want) in [(None, "No such file"), (Some("no certificate"), "it has no certificate in PEM")]
    {
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let settings = ClientSettings { ca_file: Some(file.clone()), ..ClientSettings::default() };
        let error = PrometheusClient::new("https://p:9090", settings).unwrap_err().to_string();
        for word in [want, "https://p:9090", &file.display().to_string(), "check its owner"] {
            assert!(error.contains(word), "`{word}` is missing in: {error}");
        }
    }
}

#[tokio::test]
async fn a_token_is_sent_and_read_again_when_it_was_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "first\n").unwrap();
    let port = port();
    let _server = prometheus(folder.path(), port, None, &[]).await;
    let guard = TokenGuard::start(port, "first").await;
    let settings = format!(
        "prometheus: {{url: 'http://{}', interval: 200ms, timeout: 5s, backfill: 1m, bearerTokenFile: '{}'}}",
        guard.address(),
        token.display()
    );
    let running = Running::start(folder.path(), 2000, &settings).await;
    let read = async |what: &str, since: u64| {
        until(what, SOON, async || {
            let status = running.status("prometheus");
            if status.error.is_none() && status.reads > since {
                Ok(status)
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await
    };
    let before = read("reads with the first token", 0).await;
    assert_eq!(before.failures, 0, "{before:?}");

    guard.renew("second");
    let refused = until("the old token to be refused", SOON, async || {
        let status = running.status("prometheus");
        if status.error.is_some() { Ok(status) } else { Err(format!("{status:?}")) }
    })
    .await;
    let error = refused.error.unwrap_or_default();
    for word in [&*guard.address().to_string(), "answered 401", "check `bearerTokenFile`"] {
        assert!(error.contains(word), "`{word}` is missing in: {error}");
    }
    assert!(!error.contains("first"), "it tells a secret: {error}");

    fs::write(&token, "second").unwrap();
    let after = read("reads with the second token", refused.reads).await;
    assert!(after.last_read.is_some_and(|read| now().ms_since(read) < 10_000), "{after:?}");

    fs::remove_file(&token).unwrap();
    until("the missing file to be told", SOON, async || {
        let error = running.status("prometheus").error.unwrap_or_default();
        if error.contains(&token.display().to_string()) { Ok(()) } else { Err(error) }
    })
    .await;
}
