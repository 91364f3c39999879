//! Every form of Google credentials against token endpoints of the test's own, and what never shows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::{Value, json};
use sunup_store::{
    Ask, CloudLogging, Identity, IdentityError, Names, Place, Proxies, Store as _, Trouble, Watch,
    Web, What, Where, Window, attributes,
};
use sunup_testkit::web::{Answer, Request, Web as Server};

/// A token that nobody but its issuer and the API may see.
const TOKEN: &str = "ya29.the-token-of-the-test";

struct Quiet;

impl Watch for Quiet {
    fn entries(&self, _: u64) {}
    fn waiting(&self, _: std::time::Duration) {}
}

/// Issues tokens in every way, serves one page to whoever has one, and keeps what was asked.
struct Google {
    server: Server,
    asked: Arc<Mutex<Vec<Request>>>,
}

fn google(refuse_first: bool) -> Google {
    let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
    let (seen, refuse) = (Arc::clone(&asked), Mutex::new(refuse_first));
    let server = Server::new(move |request| {
        seen.lock().expect("as the test made it").push(request.clone());
        let path = request.target.split('?').next().unwrap_or_default();
        let issued = json!({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"});
        match path {
            "/token" | "/sts" => Answer::new(200, issued.to_string()),
            "/" => flavoured(Answer::new(200, "computeMetadata/")),
            "/computeMetadata/v1/instance/service-accounts/default/token" => {
                assert_eq!(request.header("metadata-flavor"), Some("Google"));
                flavoured(Answer::new(200, issued.to_string()))
            }
            "/v1/projects/-/serviceAccounts/reader@p.iam.gserviceaccount.com:generateAccessToken" =>
            {
                let first = format!("Bearer {TOKEN}");
                assert_eq!(request.header("authorization"), Some(first.as_str()));
                let until = "2126-01-01T00:00:00Z";
                Answer::new(
                    200,
                    json!({"accessToken": "impersonated", "expireTime": until}).to_string(),
                )
            }
            "/computeMetadata/v1/project/project-id" => Answer::new(200, "shop-prod"),
            "/computeMetadata/v1/instance/attributes/cluster-location" => {
                Answer::new(200, "europe-west1")
            }
            "/computeMetadata/v1/instance/attributes/cluster-name" => Answer::new(200, "main\n"),
            "/subject" => Answer::new(200, json!({"value": "other-provider's"}).to_string()),
            "/v2/entries:list" => {
                let mut refuse = refuse.lock().expect("as the test made it");
                if std::mem::take(&mut *refuse) {
                    return Answer::new(
                        401,
                        r#"{"error":{"message":"Request had invalid credentials"}}"#,
                    );
                }
                Answer::new(200, r#"{"entries":[{"insertId":"1"}]}"#)
            }
            other => Answer::new(404, other),
        }
    });
    Google { server, asked }
}

fn flavoured(mut answer: Answer) -> Answer {
    answer.headers.push(("metadata-flavor", "Google".to_owned()));
    answer
}

fn web() -> Web {
    Web::new(&Proxies::default(), None).expect("a way into the web")
}

fn question() -> Ask {
    let at = |text: &str| text.parse().expect("as the test made it");
    let within = Window { from: at("2026-11-02T08:00:00Z"), until: at("2026-11-02T09:00:00Z") };
    Ask { place: Place::default(), within, what: What::Lines(vec!["refus"]), except: Vec::new() }
}

impl Google {
    fn places(&self, folder: &Path, file: Option<&Value>) -> Where {
        let file = file.map(|credentials| {
            let path = folder.join("credentials.json");
            std::fs::write(&path, credentials.to_string()).expect("as the test made it");
            path
        });
        Where {
            file,
            gcloud: Some(folder.join("none")),
            metadata: Some(self.server.at.to_string()),
            program: Some(folder.join("gcloud")),
            quota_project: None,
        }
    }

    /// Asks one question as whoever the credentials say; the bearer that the API saw.
    async fn bearer(&self, places: &Where) -> Result<String, Trouble> {
        let web = web();
        let identity = Identity::find(places, &web).await;
        let identity = identity.map_err(|why| Trouble::Identity(why.to_string().into()))?;
        assert!(!format!("{identity:?}{}", identity.said()).contains("secret"), "{identity:?}");
        let url = self.server.url();
        let store = CloudLogging::new(web, Some(identity), Some(&url), "p", None, Names::Current)?;
        let page = store.page(&question(), None, &Quiet).await?;
        assert_eq!(page.entries, 1);
        let asked = self.asked.lock().expect("as the test made it");
        let last = asked.last().expect("as the test made it");
        Ok(last.header("authorization").unwrap_or_default().to_owned())
    }

    fn form(&self, path: &str, name: &str) -> String {
        let asked = self.asked.lock().expect("as the test made it");
        let request = asked.iter().find(|request| request.target == path).expect("it was asked");
        request.parameter(name).unwrap_or_default()
    }
}

/// Of this run alone.
fn key() -> &'static str {
    static KEY: LazyLock<String> = LazyLock::new(|| {
        rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)
            .expect("as the test made it")
            .serialize_pem()
    });
    &KEY
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("as the test made it")
}

#[test]
fn a_users_login_is_refreshed() {
    let (google, folder) = (google(false), tempfile::tempdir().expect("as the test made it"));
    let file = json!({"type": "authorized_user", "client_id": "id", "client_secret": "secret-1",
        "refresh_token": "secret-2", "token_uri": format!("{}/token", google.server.url())});
    let bearer = runtime().block_on(google.bearer(&google.places(folder.path(), Some(&file))));
    assert_eq!(bearer.expect("as the test made it"), format!("Bearer {TOKEN}"));
    assert_eq!(google.form("/token", "grant_type"), "refresh_token");
    assert_eq!(google.form("/token", "refresh_token"), "secret-2");
}

#[test]
fn a_key_signs_an_assertion_that_its_public_half_proves() {
    use base64::Engine as _;
    let (google, folder) = (google(false), tempfile::tempdir().expect("as the test made it"));
    let url = format!("{}/token", google.server.url());
    let file = json!({"type": "service_account", "client_email": "s@p.iam.gserviceaccount.com",
        "private_key": key(), "private_key_id": "kid", "token_uri": url});
    let bearer = runtime().block_on(google.bearer(&google.places(folder.path(), Some(&file))));
    assert_eq!(bearer.expect("as the test made it"), format!("Bearer {TOKEN}"));
    let assertion = google.form("/token", "assertion");
    let parts: Vec<&str> = assertion.split('.').collect();
    let decode = |part: &str| {
        base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(part).expect("as the test made it")
    };
    let claims: Value = serde_json::from_slice(&decode(parts[1])).expect("as the test made it");
    assert_eq!(claims["iss"], "s@p.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], json!(url));
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/logging.read");
    assert_eq!(
        claims["exp"].as_i64().expect("as the test made it")
            - claims["iat"].as_i64().expect("as the test made it"),
        3600
    );
    // Proved by somebody else's program.
    let Some(openssl) = sunup_testkit::require(
        "a_key_signs_an_assertion_that_its_public_half_proves",
        "openssl",
        sunup_testkit::program("openssl"),
    ) else {
        return;
    };
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("key.pem"), key()).expect("as the test made it");
    std::fs::write(at("text"), format!("{}.{}", parts[0], parts[1])).expect("as the test made it");
    std::fs::write(at("signature"), decode(parts[2])).expect("as the test made it");
    let run = |arguments: &[&str]| {
        std::process::Command::new(&openssl)
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("as the test made it")
            .status
            .success()
    };
    assert!(run(&["rsa", "-in", "key.pem", "-pubout", "-out", "public.pem"]));
    let verify = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "text"];
    assert!(run(&verify));
}

#[test]
fn another_providers_token_is_exchanged_and_then_impersonates() {
    let (google, folder) = (google(false), tempfile::tempdir().expect("as the test made it"));
    let url = google.server.url();
    let account = "reader@p.iam.gserviceaccount.com";
    let token = folder.path().join("token");
    std::fs::write(&token, "from-a-file\n").expect("as the test made it");
    let mut file = json!({"type": "external_account", "audience": "//iam/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{url}/sts"), "credential_source": {"file": token}});
    let bearer = runtime().block_on(google.bearer(&google.places(folder.path(), Some(&file))));
    assert_eq!(bearer.expect("as the test made it"), format!("Bearer {TOKEN}"));
    assert_eq!(google.form("/sts", "subject_token"), "from-a-file");
    assert_eq!(google.form("/sts", "audience"), "//iam/pool");
    let impersonation =
        format!("{url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken");
    file["service_account_impersonation_url"] = json!(impersonation);
    file["credential_source"] = json!({"url": format!("{url}/subject"),
        "format": {"type": "json", "subject_token_field_name": "value"}});
    google.asked.lock().expect("as the test made it").clear();
    let bearer = runtime().block_on(google.bearer(&google.places(folder.path(), Some(&file))));
    assert_eq!(bearer.expect("as the test made it"), "Bearer impersonated");
    assert_eq!(google.form("/sts", "subject_token"), "other-provider's");
}

#[test]
fn a_user_impersonates_a_service_account_and_the_quota_project_pays() {
    let (google, folder) = (google(false), tempfile::tempdir().expect("as the test made it"));
    let url = google.server.url();
    let account = "reader@p.iam.gserviceaccount.com";
    let file = json!({"type": "impersonated_service_account",
        "service_account_impersonation_url":
            format!("{url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"),
        "source_credentials": {"type": "authorized_user", "client_id": "id",
            "client_secret": "secret-1", "refresh_token": "secret-2", "quota_project_id": "payer",
            "token_uri": format!("{url}/token")}});
    let places = google.places(folder.path(), Some(&file));
    assert_eq!(
        runtime().block_on(google.bearer(&places)).expect("as the test made it"),
        "Bearer impersonated"
    );
    let asked = google.asked.lock().expect("as the test made it");
    assert_eq!(
        asked.last().expect("as the test made it").header("x-goog-user-project"),
        Some("payer")
    );
}

#[test]
fn a_machine_has_its_metadata_server() {
    let (google, folder) = (google(false), tempfile::tempdir().expect("as the test made it"));
    let bearer = runtime().block_on(google.bearer(&google.places(folder.path(), None)));
    assert_eq!(bearer.expect("as the test made it"), format!("Bearer {TOKEN}"));
}

#[test]
fn the_first_credentials_that_there_are_are_taken() {
    let (google, folder) = (google(false), tempfile::tempdir().expect("as the test made it"));
    let user = |token: &str| {
        json!({"type": "authorized_user", "client_id": "id", "client_secret": "x",
            "refresh_token": token, "token_uri": format!("{}/token", google.server.url())})
    };
    let gcloud = folder.path().join("gcloud-config");
    std::fs::create_dir(&gcloud).expect("as the test made it");
    let usual = gcloud.join("application_default_credentials.json");
    std::fs::write(&usual, user("the-usual-file").to_string()).expect("as the test made it");
    let named = google.places(folder.path(), Some(&user("the-named-file")));
    let all = Where { gcloud: Some(gcloud), ..named };
    let by = |places: &Where| {
        google.asked.lock().expect("as the test made it").clear();
        runtime().block_on(google.bearer(places)).expect("a token");
        let asked = google.asked.lock().expect("as the test made it");
        let file = asked.iter().find_map(|request| request.parameter("refresh_token"));
        file.unwrap_or_else(|| asked[0].target.clone())
    };
    assert_eq!(by(&all), "the-named-file");
    let unnamed = Where { file: None, ..all };
    assert_eq!(by(&unnamed), "the-usual-file");
    std::fs::remove_file(usual).expect("as the test made it");
    // The metadata server is first asked whether it is there.
    assert_eq!(by(&unnamed), "/");
}

#[test]
fn a_pod_learns_from_the_metadata_server_whose_cluster_it_is_in() {
    let google = google(false);
    let host = google.server.at.to_string();
    let found = runtime().block_on(attributes(&web(), Some(&host)));
    assert_eq!(found, Some(["shop-prod", "europe-west1", "main"].map(str::to_owned)));
    let asked = google.asked.lock().expect("as the test made it");
    let flavoured = |request: &Request| request.header("metadata-flavor") == Some("Google");
    assert!(asked.iter().all(flavoured));
    drop(asked);
    assert_eq!(runtime().block_on(attributes(&web(), Some("127.0.0.1:1"))), None);
}

#[test]
fn a_token_that_is_not_accepted_any_more_is_asked_for_anew() {
    let (google, folder) = (google(true), tempfile::tempdir().expect("as the test made it"));
    let bearer = runtime().block_on(google.bearer(&google.places(folder.path(), None)));
    assert_eq!(bearer.expect("as the test made it"), format!("Bearer {TOKEN}"));
    let asked = google.asked.lock().expect("as the test made it");
    let tokens = asked.iter().filter(|request| request.target.contains("/token")).count();
    assert_eq!(tokens, 2);
}

#[test]
fn gcloud_is_asked_last_and_its_absence_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let (google, folder) = (google(false), tempfile::tempdir().expect("as the test made it"));
    let mut places = google.places(folder.path(), None);
    // Nobody listens there.
    places.metadata = Some("127.0.0.1:1".to_owned());
    let error = runtime().block_on(google.bearer(&places)).unwrap_err().to_string();
    assert!(error.contains("gcloud auth application-default login"), "{error}");
    assert!(error.contains("is not installed"), "{error}");
    let program: PathBuf = folder.path().join("gcloud");
    std::fs::write(
        &program,
        "#!/bin/sh\n[ \"$*\" = 'auth print-access-token --quiet' ] && echo abc\n",
    )
    .expect("as the test made it");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
        .expect("as the test made it");
    assert_eq!(
        runtime().block_on(google.bearer(&places)).expect("as the test made it"),
        "Bearer abc"
    );
}

#[test]
fn what_can_not_be_used_is_told_without_what_is_secret() {
    let (google, folder) = (google(false), tempfile::tempdir().expect("as the test made it"));
    let url = google.server.url();
    for (file, says) in [
        (
            json!({"type": "external_account", "audience": "a", "subject_token_type": "t",
            "token_url": "u", "credential_source": {"environment_id": "aws1"}}),
            "AWS",
        ),
        (json!({"type": "gdch_service_account", "private_key": "secret"}), "gdch_service_account"),
        (
            json!({"type": "service_account", "client_email": "e", "private_key": "secret"}),
            "no PEM",
        ),
        (json!({"type": "authorized_user", "client_id": "secret"}), "can't be read"),
        (
            json!({"type": "authorized_user", "client_id": "id", "client_secret": "secret",
            "refresh_token": "secret", "token_uri": format!("{url}/away")}),
            "HTTP 404",
        ),
        (
            json!({"type": "authorized_user", "client_id": "id", "client_secret": "secret",
            "refresh_token": "secret", "token_uri": "http://192.0.2.1/token"}),
            "without TLS",
        ),
    ] {
        let places = google.places(folder.path(), Some(&file));
        let error = runtime().block_on(google.bearer(&places)).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains("secret"), "{error}");
    }
    let missing = Where { file: Some(folder.path().join("away")), ..Where::default() };
    let error = runtime().block_on(Identity::find(&missing, &web())).unwrap_err();
    assert!(matches!(error, IdentityError::File { .. }), "{error}");
}
