//! Secrets in a real Vault server, and what is said when it is sealed, away, slow, ill, or says no.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use carnet_testkit::{Front, Ran, TestRepo, Turn, VaultServer, vault_program};
use serde_json::{Value, json};

use crate::support::{Walk, carnet_path, everyone, root};

/// What is kept; made of parts so that no scanner takes it for one.
fn value() -> String {
    ["opensesame", "-7Kd92mQvT4"].concat()
}

fn program() -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools/vault");
    vault_program(&tools)
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
const TOKEN_V1: &str = "login = \"token\"\nwritable = true\nkv = 1\n";
const QUICK: &str = "login = \"token\"\nkv = 1\ntimeout_secs = 2\n";

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

/// An AppRole, its role's id and a secret id.
fn app_role(server: &VaultServer) -> String {
    let (status, said) = server.ask("POST", "sys/auth/approle", r#"{"type":"approle"}"#);
    assert!(status < 300, "{said}");
    let role = "auth/approle/role/carnet";
    let (status, said) = server.ask("POST", role, r#"{"token_ttl":"1h"}"#);
    assert!(status < 300, "{said}");
    let read = |(_, text): (u16, String)| serde_json::from_str::<Value>(&text).unwrap();
    let role_id = read(server.ask("GET", &format!("{role}/role-id"), ""));
    let secret_id = read(server.ask("POST", &format!("{role}/secret-id"), "{}"));
    json!({
        "role_id": role_id["data"]["role_id"],
        "secret_id": secret_id["data"]["secret_id"],
    })
    .to_string()
}

#[test]
fn a_vault_keeps_lists_hands_over_and_rotates_and_the_log_has_it_all() {
    let Some(server) = server() else { return };
    let walk = clone_of(&format!("http://{}", server.address), TOKEN_V1);
    credential(&walk, &server.root_token);
    put(&walk, "TOKEN", &value()).expect_code(0);
    put(&walk, "db/password", "one").expect_code(0);
    let kept = server.ask("GET", "secret/web/shop/TOKEN", "").1;
    assert!(kept.contains(&value()), "it is the server that keeps it: {kept}");
    assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
    let listed = walk.json(&["secret", "list", "--json"]);
    assert_eq!(listed["secrets"], json!(["TOKEN", "db/password"]));

    // Rotated by someone else: nothing is cached.
    server.ask("POST", "secret/web/shop/db/password", r#"{"value":"two","user":"shop"}"#);
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
    refused(walk.carnet(&["secret", "get", "TOKEN"]), 3, &["`secret/web/shop/TOKEN`"]);
    let log = walk.carnet(&["audit", "log"]).expect_code(0).stdout;
    for line in [
        ": TOKEN, vault:secret/web/shop/TOKEN",
        ": db/password#user, vault:secret/web/shop/db/password#user",
        "secret-access at secret handed over by ",
        "secret-access at redact by ",
        "refusal at secret get by ",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    assert!(!log.contains(&value()) && !log.contains(&server.root_token), "{log}");
    walk.carnet(&["audit", "verify"]).expect_code(0);
}

/// The server has version 1 of the engine alone, which keeps what it is given under any path: the forms of version 2 pass through
/// it as they are.
#[test]
fn the_forms_of_version_2_travel_and_come_back() {
    let Some(server) = server() else { return };
    let walk = clone_of(&format!("http://{}", server.address), TOKEN);
    credential(&walk, &server.root_token);
    put(&walk, "TOKEN", &value()).expect_code(0);
    let kept = server.ask("GET", "secret/data/web/shop/TOKEN", "").1;
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["data"], json!({"data": {"value": value()}}));
    assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
    let binary = walk.runner(carnet_path()).args(["secret", "put", "BIN", "--raw"]);
    binary.stdin(vec![0xff, 0x00, b'\n']).run().expect_code(0);
    let count = [
        "secret",
        "run",
        "--secret",
        "BIN=store",
        "--",
        "sh",
        "-c",
        "wc -c <&$CARNET_SECRET_FD_BIN",
    ];
    assert_eq!(walk.carnet(&count).expect_code(0).stdout.trim(), "3");
    server.ask("POST", "secret/metadata/web/shop/TOKEN", r#"{"max_versions":1}"#);
    let listed = walk.json(&["secret", "list", "--json"]);
    assert_eq!(listed["secrets"], json!(["TOKEN"]));
}

#[test]
fn sealed_away_and_expired_are_told_apart_and_named() {
    let Some(mut server) = server() else { return };
    let walk = clone_of(&format!("http://{}", server.address), TOKEN_V1);
    credential(&walk, &server.root_token);
    put(&walk, "TOKEN", &value()).expect_code(0);
    let status = |walk: &Walk| walk.json(&["secret", "status", "--json"]);
    assert_eq!(status(&walk)["health"], "active");

    credential(&walk, "0b1d2c3d-0000-0000-0000-000000000000");
    let expired = walk.carnet(&["secret", "get", "TOKEN"]);
    refused(expired, 1, &["expired or was revoked", "403", "secret/web/shop/TOKEN"]);
    credential(&walk, &server.root_token);
    server.seal();
    refused(walk.carnet(&["secret", "get", "TOKEN"]), 74, &["sealed", "503", "secret/web/shop"]);
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
fn an_app_role_logs_in_is_got_anew_and_its_secret_id_can_be_rotated() {
    let Some(server) = server() else { return };
    let login = "login = \"approle\"\nwritable = true\nkv = 1\nnamespace = \"team/a\"\n";
    // The server's own words for what Vault calls `lookup-self` are the same; a first denial stands for a token that was revoked.
    let denied_once = |head: &str, _: &[u8], n_before: usize| match (head, n_before) {
        (head, 1) if head.starts_with("POST /v1/secret/") => Turn::Answer(answer(403, "{}")),
        (head, 2) if head.contains("lookup-self") => Turn::Answer(answer(403, "{}")),
        _ => Turn::Forward,
    };
    let front = Front::start(&server.address, Box::new(denied_once));
    let walk = clone_of(&format!("http://{}", front.address), login);
    let role = app_role(&server);
    credential(&walk, &role);
    put(&walk, "TOKEN", &value()).expect_code(0);
    assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
    let seen = front.seen();
    let n = |part: &str| seen.iter().filter(|head| head.contains(part)).count();
    assert_eq!(
        n("/auth/approle/login"),
        2 + 1,
        "one more where the first token was denied: {seen:?}"
    );
    assert!(n("/auth/token/revoke-self") >= 1, "{seen:?}");
    assert!(seen.iter().all(|head| head.to_lowercase().contains("x-vault-namespace: team/a")));

    let other = app_role_secret(&server);
    let mut role: Value = serde_json::from_str(&role).unwrap();
    let destroy = json!({"secret_id": role["secret_id"]}).to_string();
    server.ask("POST", "auth/approle/role/carnet/secret-id/destroy", &destroy);
    let refusal = walk.carnet(&["secret", "get", "TOKEN"]);
    refused(refusal, 1, &["refuses the login by approle", "auth/approle/login"]);
    role["secret_id"] = other;
    credential(&walk, &role.to_string());
    assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
}

fn app_role_secret(server: &VaultServer) -> Value {
    let (_, made) = server.ask("POST", "auth/approle/role/carnet/secret-id", "{}");
    serde_json::from_str::<Value>(&made).unwrap()["data"]["secret_id"].clone()
}

/// The server has no login by JWT: the front takes the question, this test holds the token against our own keys, and the rest is
/// asked of the server.
#[test]
fn a_service_account_logs_in_with_its_own_token() {
    let Some(server) = server() else { return };
    let (sender, logins) = std::sync::mpsc::channel();
    let root_token = server.root_token.clone();
    let decide = move |head: &str, body: &[u8], _: usize| {
        if !head.starts_with("POST /v1/auth/jwt/login ") {
            return Turn::Forward;
        }
        sender.send(serde_json::from_slice::<Value>(body).unwrap()).unwrap();
        let auth = json!({"auth": {"client_token": root_token, "lease_duration": 3600}});
        Turn::Answer(answer(200, &auth.to_string()))
    };
    let front = Front::start(&server.address, Box::new(decide));
    let more = "login = \"jwt\"\nrole = \"carnet-ci\"\nwritable = true\nkv = 1\n";
    let walk = clone_of(&format!("http://{}", front.address), more);
    walk.carnet(&["auth", "account", "add", "ci", "--scope", "pas.read_status"]).expect_code(0);
    walk.carnet(&["auth", "keygen"]).expect_code(0);
    walk.commit_round_the_hook(&[]);
    let file = walk.repo.home().join("ci.token");
    let file = file.to_str().unwrap();
    walk.carnet(&["auth", "issue", "ci", "-o", file]).expect_code(0);
    refused(put(&walk, "TOKEN", &value()), 78, &["nothing to log in", "CARNET_VAULT_CREDENTIAL"]);
    let put = walk.runner(carnet_path()).args(["secret", "put", "TOKEN"]).stdin(value());
    put.env("CARNET_VAULT_CREDENTIAL", file).run().expect_code(0);
    let login = logins.try_recv().unwrap();
    assert_eq!(login["role"], "carnet-ci");
    walk.write("presented", login["jwt"].as_str().unwrap());
    let said = walk.json(&["auth", "verify", "presented", "--json"]);
    assert_eq!(said["account"], "ci");
}

#[test]
fn a_server_that_answers_nonsense_is_refused_by_name_and_holds_nobody_up() {
    let Some(server) = server() else { return };
    server.ask("POST", "secret/web/shop/TOKEN", &json!({"value": value()}).to_string());
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
        (|| answer(500, "opensesame"), 74, ["with 500", "secret/web/shop/TOKEN"]),
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
    let walk = clone_of(&format!("http://{}", server.address), TOKEN_V1);
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
    set_policy(&walk, &address, TOKEN_V1);
    credential(&walk, &server.root_token);
    let dry = walk.carnet(&["secret", "migrate", "--to", "vault", "--dry-run"]).expect_code(0);
    assert!(
        dry.stdout.contains("copy  TOKEN") && dry.stdout.contains("copy  db/password"),
        "{dry:?}"
    );
    assert_eq!(walk.json(&["secret", "list", "--json"])["secrets"], json!([]));
    server.ask("POST", "secret/web/shop/TOKEN", r#"{"value":"another"}"#);
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
