//! Secrets in a real Vault server, and what is said when it is sealed, away, slow, ill, or says no.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use carnet_access::{
    secrets::{SecretName, SecretStore as _},
    vault::{VaultStore, config::SecretsConfig, session::Credential},
};
use carnet_testkit::{Front, Ran, TestRepo, Turn, VaultServer, ask_vault, vault_program};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    auth::Server as KeyServer,
    support::{Walk, carnet_path, everyone, root},
};

/// What is kept; made of parts so that no scanner takes it for one.
fn value() -> String {
    ["opensesame", "-7Kd92mQvT4"].concat()
}

fn program() -> Option<PathBuf> {
    vault_program(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn server() -> Option<VaultServer> {
    let mut server = VaultServer::start(&program()?, None);
    server.initialise();
    Some(server)
}

/// A clone whose policy names a vault.
fn clone_of(address: &str, more: &str) -> Walk {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.git(&["config", "carnet.policyRef", "refs/heads/main"]).expect_code(0);
    for lane in ["code-impl", "deny"] {
        let text = fs::read_to_string(root().join(format!("allowlists/{lane}.toml"))).unwrap();
        walk.write(&format!("allowlists/{lane}.toml"), text);
    }
    set_policy(&walk, address, more);
    walk
}

fn set_policy(walk: &Walk, address: &str, more: &str) {
    let text = format!(
        "format = \"carnet/secrets/1\"\nstore = \"vault\"\n[vault]\naddress = \"{address}\"\nproject = \"web/shop\"\n{more}"
    );
    walk.commit_round_the_hook(&[("policy/secrets.toml", &text)]);
}

const TOKEN: &str = "login = \"token\"\nwritable = true\n";
const QUICK: &str = "login = \"token\"\ntimeout_secs = 2\n";
/// What a server's policy lets a project do, and nothing else.
const OURS: &str = r#"{"policy":"path \"secret/+/web/shop/*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\"] }"}"#;

/// Puts what proves who we are where it is looked for.
fn credential(walk: &Walk, text: &str) {
    let path = walk.repo.home().join(".config/carnet/vault-credential");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn put(walk: &Walk, name: &str, value: &str) -> Ran {
    walk.runner(carnet_path()).args(["secret", "put", name]).stdin(value).run()
}

#[track_caller]
fn refused(ran: Ran, code: i32, words: &[&str]) {
    let ran = ran.expect_code(code);
    for word in words {
        assert!(ran.stderr.contains(word), "{word}: {ran:?}");
    }
    assert!(ran.stderr.contains("hint:"), "{ran:?}");
    assert!(!ran.stderr.contains("opensesame"), "{ran:?}");
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// An AppRole in a namespace that may do what [`OURS`] says: its role's id and a secret id.
fn app_role(server: &VaultServer, namespace: &str, more: &str) -> Value {
    server.done("POST", &format!("{namespace}sys/policies/acl/ours"), OURS);
    server.done("POST", &format!("{namespace}sys/auth/approle"), r#"{"type":"approle"}"#);
    let role = format!("{namespace}auth/approle/role/carnet");
    server.done("POST", &role, &format!(r#"{{"token_policies":["ours"]{more}}}"#));
    let role_id = read(&server.done("GET", &format!("{role}/role-id"), ""));
    let secret_id = read(&server.done("POST", &format!("{role}/secret-id"), "{}"));
    json!({
        "role_id": role_id["data"]["role_id"],
        "secret_id": secret_id["data"]["secret_id"],
    })
}

#[test]
fn a_vault_keeps_lists_hands_over_and_rotates_and_the_log_has_it_all() {
    let Some(server) = server() else { return };
    let walk = clone_of(&format!("http://{}", server.address), TOKEN);
    credential(&walk, &server.root_token);
    put(&walk, "TOKEN", &value()).expect_code(0);
    put(&walk, "db/password", "one").expect_code(0);
    let kept = read(&server.done("GET", "secret/data/web/shop/TOKEN", ""));
    assert_eq!(kept["data"]["data"], json!({"value": value()}), "it is the server that keeps it");
    assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
    let listed = walk.json(&["secret", "list", "--json"]);
    assert_eq!(listed["secrets"], json!(["TOKEN", "db/password"]));

    // Rotated by someone else: nothing is cached.
    let rotated = r#"{"data":{"value":"two","user":"shop"}}"#;
    let version = read(&server.done("POST", "secret/data/web/shop/db/password", rotated));
    assert_eq!(version["data"]["version"], 2);
    assert_eq!(walk.carnet(&["secret", "get", "db/password"]).expect_code(0).stdout, "two");
    assert_eq!(walk.carnet(&["secret", "get", "db/password#user"]).expect_code(0).stdout, "shop");
    refused(walk.carnet(&["secret", "get", "db/password#none"]), 3, &["no field `none`"]);

    let args = ["secret", "run", "--secret", "PW=store:db/password", "--", "sh", "-c"];
    let seen = "cat <&$CARNET_SECRET_FD_PW";
    assert_eq!(walk.carnet(&[&args[..], &[seen]].concat()).expect_code(0).stdout, "two");
    let sandbox = ["sandbox", "--any-command", "--secret", "PW=store:TOKEN", "--", "sh", "-c"];
    let ran = walk.carnet(&[&sandbox[..], &["wc -c <&$CARNET_SECRET_FD_PW"]].concat());
    assert!(ran.expect_code(0).stdout.contains(&value().len().to_string()));

    // Known by its name in any text.
    let redact = walk.runner(carnet_path()).args(["redact"]).stdin(format!("it is {}.\n", value()));
    assert_eq!(redact.run().expect_code(0).stdout, "it is [REDACTED:TOKEN].\n");

    walk.carnet(&["secret", "remove", "TOKEN"]).expect_code(0);
    refused(walk.carnet(&["secret", "get", "TOKEN"]), 3, &["`secret/data/web/shop/TOKEN`"]);
    assert_eq!(server.ask("GET", "secret/metadata/web/shop/TOKEN", "").0, 404, "every version");
    let log = walk.carnet(&["audit", "log"]).expect_code(0).stdout;
    for line in [
        ": TOKEN, vault:secret/data/web/shop/TOKEN",
        ": db/password#user, vault:secret/data/web/shop/db/password#user",
        "secret-access at secret handed over by ",
        "secret-access at redact by ",
        "refusal at secret get by ",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    assert!(!log.contains(&value()) && !log.contains(&server.root_token), "{log}");
    walk.carnet(&["audit", "verify"]).expect_code(0);
}

#[test]
fn version_1_of_the_engine_and_bytes_that_are_no_text_are_kept_too() {
    let Some(server) = server() else { return };
    let v1 = format!("{TOKEN}mount = \"old\"\nkv = 1\n");
    for (more, path) in [(TOKEN, "secret/data/web/shop/BIN"), (&v1, "old/web/shop/BIN")] {
        let walk = clone_of(&format!("http://{}", server.address), more);
        credential(&walk, &server.root_token);
        let binary = walk.runner(carnet_path()).args(["secret", "put", "BIN", "--raw"]);
        binary.stdin(vec![0xff, 0x00, b'\n']).run().expect_code(0);
        assert!(server.done("GET", path, "").contains("\"value_base64\":\"/wAK\""));
        let args = ["secret", "run", "--secret", "BIN=store", "--", "sh", "-c"];
        let count = [&args[..], &["wc -c <&$CARNET_SECRET_FD_BIN"]].concat();
        assert_eq!(walk.carnet(&count).expect_code(0).stdout.trim(), "3");
        put(&walk, "a/b", "one").expect_code(0);
        let listed = walk.json(&["secret", "list", "--json"]);
        assert_eq!(listed["secrets"], json!(["BIN", "a/b"]));
        walk.carnet(&["secret", "remove", "BIN"]).expect_code(0);
        walk.carnet(&["secret", "remove", "BIN"]).expect_code(3);
        assert_eq!(server.ask("GET", path, "").0, 404);
    }
}

#[test]
fn a_version_that_is_marked_as_deleted_is_no_secret_and_comes_back_undeleted() {
    let Some(server) = server() else { return };
    let walk = clone_of(&format!("http://{}", server.address), TOKEN);
    credential(&walk, &server.root_token);
    put(&walk, "TOKEN", "an older value").expect_code(0);
    put(&walk, "TOKEN", &value()).expect_code(0);
    put(&walk, "OTHER", "another value").expect_code(0);
    server.done("DELETE", "secret/data/web/shop/TOKEN", "");
    refused(walk.carnet(&["secret", "get", "TOKEN"]), 3, &["`secret/data/web/shop/TOKEN`"]);
    // What is gone holds nothing else up.
    let text = format!("{} and another value\n", value());
    let redact =
        |walk: &Walk| walk.runner(carnet_path()).args(["redact"]).stdin(text.clone()).run();
    let redacted = redact(&walk).expect_code(0).stdout;
    assert!(redacted.contains("[REDACTED:OTHER]") && !redacted.contains("[REDACTED:TOKEN]"));
    let moved = walk.carnet(&["secret", "migrate", "--to", "file"]).expect_code(0).stdout;
    assert_eq!(moved, "copy  OTHER\n");
    server.done("POST", "secret/undelete/web/shop/TOKEN", r#"{"versions":[2]}"#);
    assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
    assert_eq!(redact(&walk).expect_code(0).stdout, "[REDACTED:TOKEN] and [REDACTED:OTHER]\n");
    server.done("POST", "secret/destroy/web/shop/TOKEN", r#"{"versions":[2]}"#);
    walk.carnet(&["secret", "get", "TOKEN"]).expect_code(3);
    // Its older version is there still, until it is removed.
    walk.carnet(&["secret", "remove", "TOKEN"]).expect_code(0);
    assert_eq!(server.ask("GET", "secret/data/web/shop/TOKEN?version=1", "").0, 404);
}

#[test]
fn an_engine_or_a_namespace_that_is_not_there_is_no_empty_store() {
    let Some(server) = server() else { return };
    let elsewhere = format!("{TOKEN}mount = \"none\"\n");
    let nowhere = format!("{TOKEN}namespace = \"none\"\n");
    for more in [&elsewhere, &nowhere] {
        let walk = clone_of(&format!("http://{}", server.address), more);
        credential(&walk, &server.root_token);
        let words = ["no engine or namespace", "404", "policy/secrets.toml"];
        refused(walk.carnet(&["secret", "get", "TOKEN"]), 78, &words);
        refused(walk.carnet(&["secret", "list"]), 78, &words);
        refused(put(&walk, "TOKEN", "x"), 78, &words);
        let redact = walk.runner(carnet_path()).args(["redact"]).stdin("text\n").run();
        refused(redact, 78, &["no engine or namespace", "--no-store"]);
    }
}

#[test]
fn the_servers_own_policy_is_met_and_a_denial_names_the_path() {
    let Some(server) = server() else { return };
    server.done("POST", "sys/policies/acl/ours", OURS);
    let of_ours = server.done("POST", "auth/token/create", r#"{"policies":["ours"]}"#);
    let walk = clone_of(&format!("http://{}", server.address), TOKEN);
    credential(&walk, read(&of_ours)["auth"]["client_token"].as_str().unwrap());
    put(&walk, "TOKEN", &value()).expect_code(0);
    let other = format!("{TOKEN}project = \"web/other\"\n");
    let text = format!(
        "format = \"carnet/secrets/1\"\nstore = \"vault\"\n[vault]\naddress = \"http://{}\"\n{other}",
        server.address
    );
    walk.commit_round_the_hook(&[("policy/secrets.toml", &text)]);
    let words = ["denies", "secret/data/web/other/TOKEN", "403"];
    refused(walk.carnet(&["secret", "get", "TOKEN"]), 1, &words);
    refused(put(&walk, "TOKEN", "x"), 1, &words);
    let log = walk.carnet(&["audit", "log"]).expect_code(0).stdout;
    assert!(log.contains("the vault denies `secret/data/web/other/TOKEN` (403)"), "{log}");
}

#[test]
fn sealed_away_and_expired_are_told_apart_and_named() {
    let Some(mut server) = server() else { return };
    let walk = clone_of(&format!("http://{}", server.address), TOKEN);
    credential(&walk, &server.root_token);
    put(&walk, "TOKEN", &value()).expect_code(0);
    let status = |walk: &Walk| walk.json(&["secret", "status", "--json"]);
    assert_eq!(status(&walk)["health"], "active");

    server.done("POST", "sys/policies/acl/ours", OURS);
    let short = r#"{"policies":["ours"],"ttl":"1s","explicit_max_ttl":"1s"}"#;
    let short = read(&server.done("POST", "auth/token/create", short));
    let short = short["auth"]["client_token"].as_str().unwrap();
    let began = Instant::now();
    while ask_vault(&server.address, short, "GET", "auth/token/lookup-self", "").0 == 200 {
        assert!(began.elapsed().as_secs() < 120, "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    credential(&walk, short);
    let expired = walk.carnet(&["secret", "get", "TOKEN"]);
    refused(expired, 1, &["expired or was revoked", "403", "secret/data/web/shop/TOKEN"]);
    credential(&walk, &server.root_token);
    server.seal();
    refused(
        walk.carnet(&["secret", "get", "TOKEN"]),
        74,
        &["sealed", "503", "secret/data/web/shop"],
    );
    assert_eq!(status(&walk)["health"], "sealed");
    server.unseal();
    assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
    server.stop();
    refused(walk.carnet(&["secret", "get", "TOKEN"]), 74, &["cannot be reached", &server.address]);
    refused(walk.carnet(&["secret", "status"]), 74, &["cannot be reached"]);
    let redact = walk.runner(carnet_path()).args(["redact"]).stdin("text\n").run();
    refused(redact, 74, &["cannot be reached", "--no-store"]);
    let redact = walk.runner(carnet_path()).args(["redact", "--no-store"]).stdin("text\n").run();
    assert_eq!(redact.expect_code(0).stdout, "text\n");
}

#[test]
fn an_app_role_of_a_namespace_logs_in_is_got_anew_and_its_secret_id_can_be_rotated() {
    let Some(server) = server() else { return };
    server.done("POST", "sys/namespaces/team", "{}");
    server.done("POST", "team/sys/namespaces/a", "{}");
    let engine = r#"{"type":"kv","options":{"version":"2"}}"#;
    server.done("POST", "team/a/sys/mounts/secret", engine);
    let mut role = app_role(&server, "team/a/", "");
    // The first token is revoked under carnet's hands.
    let (address, root_token) = (server.address.clone(), server.root_token.clone());
    let revoked_once = move |head: &str, _: &[u8], n_before: usize| {
        if n_before == 1 {
            let token = head.lines().find_map(|line| line.strip_prefix("x-vault-token: ")).unwrap();
            let token = json!({ "token": token }).to_string();
            let path = "team/a/auth/token/revoke";
            assert_eq!(ask_vault(&address, &root_token, "POST", path, &token).0, 204);
        }
        Turn::Forward
    };
    let front = Front::start(&server.address, Box::new(revoked_once));
    let login = "login = \"approle\"\nwritable = true\nnamespace = \"team/a\"\n";
    let walk = clone_of(&format!("http://{}", front.address), login);
    credential(&walk, &role.to_string());
    put(&walk, "TOKEN", &value()).expect_code(0);
    assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
    let kept = server.done("GET", "team/a/secret/data/web/shop/TOKEN", "");
    assert!(kept.contains(&value()), "{kept}");
    assert_eq!(server.ask("GET", "secret/data/web/shop/TOKEN", "").0, 404, "not in the root");
    let seen = front.seen();
    let n = |part: &str| seen.iter().filter(|head| head.contains(part)).count();
    let n_logins = 2 + 1;
    assert_eq!(n("/auth/approle/login"), n_logins, "one more for the one revoked: {seen:?}");
    assert!(n("/auth/token/revoke-self") >= 1, "{seen:?}");
    assert!(seen.iter().all(|head| head.to_lowercase().contains("x-vault-namespace: team/a")));

    let made = "team/a/auth/approle/role/carnet/secret-id";
    let other = read(&server.done("POST", made, "{}"))["data"]["secret_id"].take();
    let destroy = json!({"secret_id": role["secret_id"]}).to_string();
    server.done("POST", &format!("{made}/destroy"), &destroy);
    let refusal = walk.carnet(&["secret", "get", "TOKEN"]);
    refused(refusal, 1, &["refuses the login by approle", "auth/approle/login"]);
    role["secret_id"] = other;
    credential(&walk, &role.to_string());
    assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
}

#[test]
fn a_lease_is_renewed_in_its_last_third_and_revoked_after_use() {
    let Some(server) = server() else { return };
    server.done(
        "POST",
        "secret/data/web/shop/TOKEN",
        &json!({"data": {"value": value()}}).to_string(),
    );
    let role = app_role(&server, "", r#","token_ttl":"3s","token_max_ttl":"1h""#);
    let front = Front::start(&server.address, Box::new(|_, _, _| Turn::Forward));
    let text = format!(
        "format = 'carnet/secrets/1'\nstore = 'vault'\n[vault]\naddress = 'http://{}'\nproject = 'web/shop'\nlogin = 'approle'\n",
        front.address
    );
    let config = SecretsConfig::parse(&text).unwrap().vault.unwrap();
    let id = |name: &str| Zeroizing::new(role[name].as_str().unwrap().to_owned());
    let credential = Credential::AppRole { role_id: id("role_id"), secret_id: id("secret_id") };
    let store = VaultStore::new(config, None, credential).unwrap();
    let name = SecretName::parse("TOKEN").unwrap();
    let n = |part: &str| front.seen().iter().filter(|head| head.contains(part)).count();
    let began = Instant::now();
    while n("/auth/token/renew-self") < 2 {
        assert!(began.elapsed().as_secs() < 300, "it is never renewed: {:?}", front.seen());
        assert_eq!(store.get(&name).unwrap().as_slice(), value().as_bytes());
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(store);
    let last = front.seen().pop().unwrap();
    assert!(last.contains("/auth/token/revoke-self"), "{last}");
    let token = last.lines().find_map(|line| line.strip_prefix("x-vault-token: ")).unwrap();
    assert_eq!(ask_vault(&server.address, token, "GET", "auth/token/lookup-self", "").0, 403);
}

/// The server fetches our published keys itself, and decides by them and its role.
#[test]
fn a_service_account_logs_in_with_its_own_token_by_our_served_keys() {
    let Some(server) = server() else { return };
    let more = "login = \"jwt\"\nrole = \"carnet-ci\"\nwritable = true\n";
    let walk = clone_of(&format!("http://{}", server.address), more);
    for account in ["ci", "eve"] {
        walk.carnet(&["auth", "account", "add", account, "--scope", "pas.read_status"])
            .expect_code(0);
    }
    walk.carnet(&["auth", "keygen"]).expect_code(0);
    walk.commit_round_the_hook(&[]);
    let keys = KeyServer::start(&walk);
    server.done("POST", "sys/policies/acl/ours", OURS);
    server.done("POST", "sys/auth/jwt", r#"{"type":"jwt"}"#);
    let config = json!({"jwks_url": keys.1, "bound_issuer": "carnet"});
    server.done("POST", "auth/jwt/config", &config.to_string());
    let role = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["carnet"],
        "bound_subject": "service:ci", "token_policies": ["ours"]});
    server.done("POST", "auth/jwt/role/carnet-ci", &role.to_string());

    let issue = |account: &str| {
        let file = walk.repo.home().join(format!("{account}.token"));
        let file = file.to_str().unwrap().to_owned();
        let _ = fs::remove_file(&file);
        walk.carnet(&["auth", "issue", account, "-o", &file]).expect_code(0);
        file
    };
    let with = |file: &str, args: &[&str]| {
        walk.runner(carnet_path())
            .env("CARNET_VAULT_CREDENTIAL", file)
            .args(args)
            .stdin(value())
            .run()
    };
    let file = issue("ci");
    refused(put(&walk, "TOKEN", &value()), 78, &["nothing to log in", "CARNET_VAULT_CREDENTIAL"]);
    with(&file, &["secret", "put", "TOKEN"]).expect_code(0);
    assert_eq!(with(&file, &["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
    let of_another = with(&issue("eve"), &["secret", "get", "TOKEN"]);
    refused(of_another, 1, &["refuses the login by jwt", "auth/jwt/login"]);
    // The key that follows is found by its id, without a word to the server.
    walk.carnet(&["auth", "rotate"]).expect_code(0);
    walk.commit_round_the_hook(&[]);
    assert_eq!(with(&issue("ci"), &["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
}

#[test]
fn a_server_that_answers_nonsense_is_refused_by_name_and_holds_nobody_up() {
    let Some(server) = server() else { return };
    let kept = json!({"data": {"value": value()}}).to_string();
    server.done("POST", "secret/data/web/shop/TOKEN", &kept);
    let huge = || {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 << 20);
        [head.into_bytes(), vec![b'a'; 64 << 20]].concat()
    };
    let elsewhere =
        || b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n".to_vec();
    type Case = (fn() -> Vec<u8>, i32, [&'static str; 2]);
    let cases: [Case; 6] = [
        (|| answer(200, "opensesame"), 74, ["not understood", "line 1"]),
        (|| b"opensesame\r\n\r\n".to_vec(), 74, ["the vault", "hint"]),
        (|| answer(403, "opensesame"), 1, ["denies", "403"]),
        (|| answer(500, "opensesame"), 74, ["with 500", "secret/data/web/shop/TOKEN"]),
        (|| answer(501, ""), 74, ["not initialised", "501"]),
        (|| answer(200, r#"{"data":null}"#), 74, ["not understood", "no fields"]),
    ];
    let ask = |turn: Box<dyn Fn() -> Turn + Send>| {
        let decide = move |head: &str, _: &[u8], _: usize| {
            if head.contains("/secret/") { turn() } else { Turn::Forward }
        };
        let front = Front::start(&server.address, Box::new(decide));
        let walk = clone_of(&format!("http://{}", front.address), QUICK);
        credential(&walk, &server.root_token);
        (walk.carnet(&["secret", "get", "TOKEN"]), front.seen().len(), walk)
    };
    for (spoilt, code, words) in cases {
        let (ran, _, _) = ask(Box::new(move || Turn::Answer(spoilt())));
        refused(ran, code, &words);
    }
    let (ran, _, _) = ask(Box::new(move || Turn::Answer(huge())));
    refused(ran, 74, &["more than 4194304 bytes"]);
    let (ran, n_asked, _) = ask(Box::new(move || Turn::Answer(elsewhere())));
    refused(ran, 1, &["another address", "307"]);
    assert_eq!(n_asked, 1, "it is not followed");
    let (ran, _, walk) = ask(Box::new(|| Turn::Silence));
    refused(ran, 74, &["did not answer", "within 2 s"]);
    // Nothing is asked that the policy does not let us: reading alone, and no path but ours.
    let front = Front::start(&server.address, Box::new(|_, _, _| Turn::Forward));
    set_policy(&walk, &format!("http://{}", front.address), QUICK);
    refused(put(&walk, "TOKEN", "x"), 1, &["for reading alone"]);
    refused(walk.carnet(&["secret", "remove", "TOKEN"]), 1, &["for reading alone"]);
    for outside in ["../other/TOKEN", "/secret/other", "a/../../b", "a%2f..%2fb", "a?list=true"] {
        walk.carnet(&["secret", "get", outside]).expect_code(2);
    }
    assert_eq!(front.seen(), Vec::<String>::new());
}

#[test]
fn a_certificate_counts_where_the_policy_names_its_authority_and_not_elsewhere() {
    let Some(program) = program() else { return };
    let scratch = TestRepo::init();
    scratch.script(
        "for ca in own other; do
           openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$ca -keyout $ca.key -out $ca.pem 2>/dev/null
         done
         openssl req -newkey rsa:2048 -nodes -subj /CN=vault -keyout vault.key -out vault.csr 2>/dev/null
         printf 'basicConstraints=CA:false\nsubjectAltName=IP:127.0.0.1\n' >vault.ext
         openssl x509 -req -in vault.csr -CA own.pem -CAkey own.key -CAcreateserial -days 2 -extfile vault.ext -out vault.pem 2>/dev/null",
    );
    let at = |name: &str| scratch.path().join(name);
    let (own, other) = (at("own.pem"), at("other.pem"));
    let server = VaultServer::start(&program, Some((&at("vault.pem"), &at("vault.key"))));
    let more = "login = \"token\"\nca = \"policy/vault-ca.pem\"\n";
    let walk = clone_of(&format!("https://{}", server.address), more);
    credential(&walk, "x");
    let trust = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        walk.commit_round_the_hook(&[("policy/vault-ca.pem", &text)]);
    };
    refused(walk.carnet(&["secret", "get", "TOKEN"]), 78, &["no `policy/vault-ca.pem`"]);
    trust(&other);
    refused(walk.carnet(&["secret", "get", "TOKEN"]), 1, &["certificate that does not count"]);
    trust(&own);
    assert_eq!(walk.json(&["secret", "status", "--json"])["health"], "uninitialised");
    set_policy(&walk, &format!("https://{}", server.address), "login = \"token\"\n");
    refused(walk.carnet(&["secret", "get", "TOKEN"]), 1, &["certificate that does not count"]);
}

#[test]
fn the_keys_of_accounts_can_lie_in_the_vault_and_sign_from_there() {
    let Some(server) = server() else { return };
    let walk = clone_of(&format!("http://{}", server.address), TOKEN);
    credential(&walk, &server.root_token);
    walk.carnet(&["auth", "account", "add", "ci", "--scope", "pas.read_status"]).expect_code(0);
    walk.carnet(&["auth", "keygen", "--in-vault"]).expect_code(0);
    walk.commit_round_the_hook(&[]);
    assert!(!walk.repo.path().join(".git/carnet/access/keys").exists());
    assert!(!walk.repo.home().join(".config/carnet/identity.txt").exists());
    let listed = walk.json(&["secret", "list", "--json"]);
    assert!(listed["secrets"][0].as_str().unwrap().starts_with("carnet-keys/"), "{listed}");
    walk.carnet(&["auth", "issue", "ci", "-o", "day.token"]).expect_code(0);
    walk.carnet(&["auth", "verify", "day.token"]).expect_code(0);
    // A run's token lives no longer than a run may last, and the hour after it.
    let run = "0123456789abcdef0123456789abcdef";
    walk.carnet(&["auth", "issue", "ci", "--run", run, "-o", "run.token"]).expect_code(0);
    walk.carnet(&["auth", "verify", "run.token"]).expect_code(0);
    let log = walk.carnet(&["audit", "log"]).expect_code(0).stdout;
    let lives: Vec<u64> = log
        .lines()
        .filter(|line| line.contains("token-issue"))
        .map(|line| line.split(" for ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(lives[0] == 86_400 && (3_601..86_400).contains(&lives[1]), "{lives:?}");
    assert!(log.contains("secret-access at auth issue by "), "{log}");
}

#[test]
fn secrets_migrate_into_a_vault_and_back() {
    let Some(server) = server() else { return };
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    put(&walk, "TOKEN", &value()).expect_code(0);
    put(&walk, "db/password", "two").expect_code(0);
    refused(walk.carnet(&["secret", "migrate", "--to", "vault"]), 78, &["names no vault"]);
    let address = format!("http://{}", server.address);
    walk.git(&["config", "carnet.policyRef", "refs/heads/main"]).expect_code(0);
    for lane in ["code-impl", "deny"] {
        let text = fs::read_to_string(root().join(format!("allowlists/{lane}.toml"))).unwrap();
        walk.write(&format!("allowlists/{lane}.toml"), text);
    }
    set_policy(&walk, &address, TOKEN);
    credential(&walk, &server.root_token);
    let dry = walk.carnet(&["secret", "migrate", "--to", "vault", "--dry-run"]).expect_code(0);
    assert!(
        dry.stdout.contains("copy  TOKEN") && dry.stdout.contains("copy  db/password"),
        "{dry:?}"
    );
    assert_eq!(walk.json(&["secret", "list", "--json"])["secrets"], json!([]));
    server.done("POST", "secret/data/web/shop/TOKEN", r#"{"data":{"value":"another"}}"#);
    let differs = walk.carnet(&["secret", "migrate", "--to", "vault"]);
    refused(differs, 1, &["`TOKEN` differs", "--replace"]);
    walk.carnet(&["secret", "migrate", "--to", "vault", "--replace", "--remove"]).expect_code(0);
    assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
    let sealed = walk.repo.path().join(".git/carnet/access/secrets");
    assert_eq!(fs::read_dir(&sealed).unwrap().count(), 0);
    walk.carnet(&["secret", "migrate", "--to", "file"]).expect_code(0);
    assert_eq!(fs::read_dir(&sealed).unwrap().count(), 2);
    let same = walk.carnet(&["secret", "migrate", "--to", "file"]).expect_code(0);
    assert!(same.stdout.contains("same  TOKEN"), "{same:?}");
    let log = walk.carnet(&["audit", "log"]).expect_code(0).stdout;
    assert!(log.contains("secret-access at secret migrate by "), "{log}");
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into()
}
