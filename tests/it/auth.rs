//! Service accounts from the command line: accounts, keys, tokens, what each refusal says, and a JOSE client that no one here wrote.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use carnet_access::{
    sealed::Identity,
    token::{Claims, sign},
    token_key::TokenKey,
};
use carnet_testkit::{Ran, python_venv};

use crate::support::{Walk, carnet_path, everyone, root};

/// A clone with an account `ci`, a key, and a policy ref that has both.
fn with_account() -> Walk {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.git(&["config", "carnet.policyRef", "refs/heads/main"]).expect_code(0);
    walk.carnet(&["auth", "account", "add", "ci", "--scope", "pas.read_status"]).expect_code(0);
    walk.carnet(&["auth", "keygen"]).expect_code(0);
    commit_policy(&walk);
    walk
}

/// Commits what `carnet auth` changed; allowlists too, because a policy of its own needs some.
fn commit_policy(walk: &Walk) {
    for lane in ["code-impl", "deny"] {
        let text = std::fs::read_to_string(root().join(format!("allowlists/{lane}.toml"))).unwrap();
        walk.write(&format!("allowlists/{lane}.toml"), text);
    }
    walk.git(&["add", "policy", "allowlists"]).expect_code(0);
    walk.git(&["commit", "-qm", "policy"]).expect_code(0);
}

fn issue(walk: &Walk, name: &str, more: &[&str]) -> String {
    walk.carnet(&[&["auth", "issue", "ci", "-o", name], more].concat()).expect_code(0);
    std::fs::read_to_string(walk.repo.path().join(name)).unwrap()
}

fn refused(ran: Ran, code: i32, word: &str) {
    let ran = ran.expect_code(code);
    assert!(ran.stderr.contains(word), "{ran:?}");
    assert!(ran.stderr.contains("hint:"), "{ran:?}");
}

fn audit(walk: &Walk) -> String {
    walk.carnet(&["audit", "log"]).expect_code(0).stdout
}

#[test]
fn a_token_is_issued_verified_revoked_and_every_step_is_in_the_log() {
    let walk = with_account();
    let token = issue(&walk, "ci.token", &[]);
    let mode = std::fs::metadata(walk.repo.path().join("ci.token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let said = walk.json(&["auth", "verify", "ci.token", "--scope", "pas.read_status", "--json"]);
    assert_eq!((&said["account"], &said["format"]), (&"ci".into(), &"carnet/token/1".into()));
    refused(
        walk.carnet(&["auth", "verify", "ci.token", "--scope", "pex.start"]),
        77,
        "scope-missing",
    );
    walk.carnet(&["auth", "verify", "ci.token", "--once"]).expect_code(0);
    refused(walk.carnet(&["auth", "verify", "ci.token", "--once"]), 1, "replayed");

    let jti = said["jti"].as_str().unwrap();
    walk.carnet(&["auth", "revoke", "--token", jti, "--reason", "lost"]).expect_code(0);
    walk.carnet(&["auth", "verify", "ci.token"]).expect_code(0);
    commit_policy(&walk);
    refused(walk.carnet(&["auth", "verify", "ci.token"]), 1, "revoked: lost");
    let log = audit(&walk);
    for line in [
        ": ci\n",
        "key-change at auth keygen by ",
        "token-issue at auth issue by ci",
        "token-use at auth verify by ci",
        "token-refusal at auth verify by ci: ",
        "scope-missing: it does not hold scope `pex.start`",
        "replayed: it was presented before",
        "revocation at auth revoke by ",
        "revoked: it was revoked: lost",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    assert!(!log.contains(&token[..40]), "no token stands in the log: {log}");
    walk.carnet(&["audit", "verify"]).expect_code(0);
    walk.assert_sound();
}

#[test]
fn hostile_tokens_are_refused_each_by_its_word_and_audited() {
    let walk = with_account();
    let token = issue(&walk, "ci.token", &[]);
    let parts: Vec<_> = token.split('.').collect();
    let none = "eyJhbGciOiJub25lIn0"; // {"alg":"none"}
    let hs256 = "eyJhbGciOiJIUzI1NiJ9"; // {"alg":"HS256"}
    let x5u = "eyJhbGciOiJSUzI1NiIsIng1dSI6Imh0dHBzOi8vZXZpbC5leGFtcGxlL2MifQ"; // {"alg":"RS256","x5u":"https://evil.example/c"}
    let jwk = "eyJhbGciOiJSUzI1NiIsImp3ayI6eyJrdHkiOiJSU0EiLCJuIjoiQVFBQiIsImUiOiJBUUFCIn19"; // {"alg":"RS256","jwk":{"kty":"RSA",…}}
    let jku = "eyJhbGciOiJSUzI1NiIsImprdSI6Imh0dHBzOi8vZXZpbC5leGFtcGxlIn0"; // {"alg":"RS256","jku":"https://evil.example"}
    let other_kid = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ"; // {"alg":"RS256","kid":"x"}
    for (hostile, word) in [
        (format!("{none}.{}.", parts[1]), "algorithm"),
        (format!("{hs256}.{}.{}", parts[1], parts[2]), "algorithm"),
        (format!("{jku}.{}.{}", parts[1], parts[2]), "header-member"),
        (format!("{x5u}.{}.{}", parts[1], parts[2]), "header-member"),
        (format!("{jwk}.{}.{}", parts[1], parts[2]), "header-member"),
        (format!("{other_kid}.{}.{}", parts[1], parts[2]), "unknown-key"),
        (format!("{}.{}.AAAA", parts[0], parts[1]), "signature"),
        (token[..token.len() - 1].to_owned(), "malformed"),
        (parts[..2].join("."), "malformed"),
        ("a".repeat(9000), "too-long"),
    ] {
        is_refused(&walk, &hostile, word);
    }
    // Signed by our own key, as one that was stolen, or a clock that is wrong, would have it.
    let key = private_key_of(&walk);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let sound = || Claims {
        iss: "carnet".to_owned(),
        sub: "service:ci".to_owned(),
        aud: "carnet".to_owned(),
        exp: now + 3600,
        iat: now,
        nbf: None,
        jti: "forged".to_owned(),
        scopes: vec!["pas.read_status".to_owned()],
        run_id: None,
        project_id: None,
    };
    let signed = |change: &dyn Fn(&mut Claims)| {
        let mut claims = sound();
        change(&mut claims);
        sign(&claims, &key).unwrap()
    };
    walk.write("sound.token", signed(&|_| {}));
    walk.carnet(&["auth", "verify", "sound.token"]).expect_code(0);
    // Clocks may differ by a minute; this test may take one too.
    for (hostile, word) in [
        (signed(&|it| (it.iat, it.exp) = (now - 3600, now - 1)), "expired"),
        (signed(&|it| it.nbf = Some(now + 3000)), "not-yet-valid"),
        (signed(&|it| (it.iat, it.exp) = (now + 3000, now + 3600)), "issued-in-future"),
        (signed(&|it| it.exp = now + 30 * 86_400), "lifetime"),
        (signed(&|it| it.aud = "another".to_owned()), "audience"),
        (signed(&|it| it.iss = "https://evil.example".to_owned()), "issuer"),
        (signed(&|it| it.sub = "service:eve".to_owned()), "unknown-account"),
    ] {
        is_refused(&walk, &hostile, word);
    }
}

/// It is refused by its word, and the log says so.
fn is_refused(walk: &Walk, token: &str, word: &str) {
    let said = |log: &str| log.matches(&format!(", {word}: ")).count();
    let before = said(&audit(walk));
    walk.write("hostile.token", token);
    refused(walk.carnet(&["auth", "verify", "hostile.token"]), 1, word);
    let log = audit(walk);
    assert!(log.contains("token-refusal at auth verify by "), "{word}\n{log}");
    assert_eq!(said(&log), before + 1, "{word}\n{log}");
}

/// The key of a walk, opened as its owner could.
fn private_key_of(walk: &Walk) -> TokenKey {
    let identity = Identity::load(&walk.repo.home().join(".config/carnet/identity.txt")).unwrap();
    let keys = walk.repo.path().join(".git/carnet/access/keys");
    let sealed = std::fs::read_dir(keys).unwrap().next().unwrap().unwrap().path();
    TokenKey::from_pkcs8(&identity.open(&sealed).unwrap()).unwrap()
}

#[test]
fn a_branch_cannot_grant_itself_anything() {
    let walk = with_account();
    walk.git(&["checkout", "-qb", "side"]).expect_code(0);
    walk.carnet(&["auth", "account", "add", "eve", "--scope", "kpi.override"]).expect_code(0);
    commit_policy(&walk);
    refused(
        walk.carnet(&["auth", "issue", "eve"]),
        1,
        "account `eve` is not in the accounts in force",
    );
    walk.git(&["config", "--unset", "carnet.policyRef"]).expect_code(0);
    refused(walk.carnet(&["auth", "issue", "ci"]), 78, "carnet.policyRef");
}

#[test]
fn a_privileged_command_asks_the_token_for_its_scope() {
    let walk = with_account();
    issue(&walk, "ci.token", &[]);
    let with = |args: &[&str]| walk.carnet(&[&["--token-file", "ci.token"][..], args].concat());
    with(&["runs"]).expect_code(0);
    refused(with(&["run", "--", "true"]), 77, "scope-missing");
    refused(with(&["artifact", "list"]), 77, "scope-missing");
    refused(with(&["auth", "keygen"]), 77, "no scope of a service account is enough");
    refused(with(&["init"]), 77, "no scope of a service account is enough");
    with(&["doctor", "--json"]);
    let by_variable = walk.runner(carnet_path()).env("CARNET_TOKEN_FILE", "ci.token");
    refused(by_variable.clone().args(["run", "--", "true"]).run(), 77, "scope-missing");
    by_variable.args(["runs"]).run().expect_code(0);
    assert!(audit(&walk).contains("token-use at runs by ci"), "{}", audit(&walk));
    // A person at the terminal acts as themselves.
    walk.carnet(&["runs"]).expect_code(0);
}

#[test]
fn a_run_names_the_account_that_started_it_and_never_sees_the_token() {
    let walk = with_account();
    walk.carnet(&["auth", "account", "add", "ci", "--scope", "pex.start"]).expect_code(0);
    commit_policy(&walk);
    issue(&walk, "ci.token", &[]);
    let runner = walk.runner(carnet_path()).env("CARNET_TOKEN_FILE", "ci.token");
    runner.args(["sandbox", "--any-command", "--", "sh", "-c", "env; ls"]).run().expect_code(0);
    let run = walk.newest_run();
    let shown = walk.json(&["show", &run, "--json"]).to_string();
    assert!(shown.contains("\"account\":\"ci\""), "{shown}");
    let log = walk.carnet(&["show", &run]).expect_code(0).stdout;
    assert!(!log.contains("CARNET_TOKEN_FILE"), "{log}");
}

#[test]
fn private_keys_are_sealed_outside_of_git_and_wrong_permissions_are_refused() {
    let walk = with_account();
    let identity = walk.repo.home().join(".config/carnet/identity.txt");
    let keys = walk.repo.path().join(".git/carnet/access/keys");
    let key = std::fs::read_dir(&keys).unwrap().next().unwrap().unwrap().path();
    assert!(std::fs::read(&key).unwrap().starts_with(b"age-encryption.org/v1\n"));
    for private in [&identity, &key] {
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(private, open).unwrap();
        let chmod = format!("chmod 600 {}", private.display());
        refused(walk.carnet(&["auth", "issue", "ci"]), 78, &chmod);
        std::fs::set_permissions(private, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    walk.carnet(&["auth", "issue", "ci"]).expect_code(0);
    std::fs::write(&identity, "nothing\n").unwrap();
    refused(walk.carnet(&["auth", "issue", "ci"]), 78, "holds no age identity");
    std::fs::remove_file(&identity).unwrap();
    refused(walk.carnet(&["auth", "issue", "ci"]), 78, "--identity FILE");
    std::fs::remove_file(&key).unwrap();
    walk.carnet(&["auth", "keygen"]).expect_code(2);
}

#[test]
fn a_broken_accounts_file_is_refused_with_line_and_field() {
    let walk = with_account();
    let sound = std::fs::read_to_string(walk.repo.path().join("policy/accounts.toml")).unwrap();
    for (from, to, shows) in [
        ("issuer", "issuer = \"x\"\nissuer", "policy/accounts.toml:"),
        ("carnet/accounts/1", "carnet/accounts/2", "policy/accounts.toml:2: `format`"),
        ("pas.read_status", "pas.read", "`accounts.ci.scopes`: there is no scope `pas.read`"),
    ] {
        walk.write("policy/accounts.toml", sound.replacen(from, to, 1));
        commit_policy(&walk);
        refused(walk.carnet(&["auth", "issue", "ci"]), 78, shows);
        refused(walk.carnet(&["auth", "account", "remove", "ci"]), 78, shows);
    }
}

/// A server of our keys, and where they are; stopped when the test ends.
pub struct Server(Child, pub String);

impl Server {
    /// Serves the keys of a clone.
    pub fn start(walk: &Walk) -> Server {
        let mut command = walk.repo.command(carnet_path());
        command.args(["auth", "jwks", "--serve", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().nth(1).unwrap().trim_end_matches(';').to_owned();
        Server(child, url)
    }

    fn ask(&self, request: &str) -> String {
        let address = self.1.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    fn get(&self, more: &str) -> String {
        self.ask(&format!(
            "GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n"
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_key_set_is_served_with_caching_and_within_bounds() {
    let walk = with_account();
    walk.carnet(&["auth", "jwks", "--serve", "0.0.0.0:0"]).expect_code(2);
    let server = Server::start(&walk);
    let first = server.get("");
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    assert!(first.contains("cache-control: public, max-age=3600\r\n"), "{first}");
    let tag = first.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().trim();
    let again = server.get(&format!("if-none-match: {tag}\r\n"));
    assert!(again.starts_with("HTTP/1.1 304 "), "{again}");
    let large = server.get(&format!("x: {}\r\n", "a".repeat(64 * 1024)));
    assert!(large.starts_with("HTTP/1.1 431 "), "{large}");
    let body = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        100 << 20
    );
    let answer = server.ask(&body);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let garbage = server.ask("\u{1}\u{2}\u{3}\r\n\r\n");
    assert!(garbage.starts_with("HTTP/1.1 400 "), "{garbage}");
    // A rotation needs no restart.
    walk.carnet(&["auth", "rotate", "--if-due"]).expect_code(0);
    walk.carnet(&["auth", "rotate"]).expect_code(0);
    commit_policy(&walk);
    let rotated = server.get(&format!("if-none-match: {tag}\r\n"));
    assert!(rotated.starts_with("HTTP/1.1 200 "), "{rotated}");
    assert_eq!(rotated.matches("\"kid\"").count(), 2, "{rotated}");
}

#[test]
fn pyjwt_verifies_our_tokens_against_the_served_keys_and_refuses_hostile_ones() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let Some(venv) = python_venv(dir, "pyjwt", &["pyjwt[crypto]==2.15.1"]) else { return };
    let walk = with_account();
    let token = issue(&walk, "ci.token", &[]);
    let server = Server::start(&walk);
    let program = r#"
import base64, hashlib, hmac, json, sys, jwt
from cryptography.hazmat.primitives import serialization
url, token = sys.argv[1:]
client = jwt.PyJWKClient(url)
key = client.get_signing_key_from_jwt(token)
claims = jwt.decode(token, key, algorithms=["RS256"], issuer="carnet", audience="carnet", options={"require": ["exp", "iat", "iss", "aud", "sub", "jti"]})
print(claims["sub"], " ".join(claims["scopes"]), claims["exp"] - claims["iat"], jwt.get_unverified_header(token)["typ"])
head, body, mac = token.split(".")
for name, hostile in [("edited", head + "." + body[:-2] + ("AA" if body[-2:] != "AA" else "BB") + "." + mac), ("no key", jwt.encode({}, "k" * 32, headers={"kid": "x"}))]:
    try:
        jwt.decode(hostile, client.get_signing_key_from_jwt(hostile), algorithms=["RS256"], audience="carnet")
        print("TAKEN", name)
    except jwt.exceptions.PyJWTError as error:
        print("refused", name, type(error).__name__)
pem = key.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
encoded = lambda part: base64.urlsafe_b64encode(part).rstrip(b"=")
signed = encoded(json.dumps({"alg": "HS256", "typ": "JWT", "kid": key.key_id}).encode()) + b"." + body.encode()
print((signed + b"." + encoded(hmac.new(pem, signed, hashlib.sha256).digest())).decode())
"#;
    let output = Command::new(venv.join("bin/python"))
        .args(["-c", program, &server.1, &token])
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(stdout.starts_with("service:ci pas.read_status 86400 JWT\n"), "{stdout}");
    assert_eq!(stdout.matches("refused").count(), 2, "{stdout}");
    // Our public key as the secret of an HMAC: sound to whoever lets the token choose.
    is_refused(&walk, stdout.lines().last().unwrap(), "algorithm");
}

/// Stops the daemon when the test ends.
struct Watched(Walk);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.carnet(&["daemon", "stop"]);
    }
}

#[test]
fn the_daemon_makes_a_key_that_is_due_where_that_is_left_to_it() {
    let watched = Watched(Walk::initialised("echo hello >README", everyone()[0]));
    let walk = &watched.0;
    walk.git(&["config", "carnet.rotateKeys", "true"]).expect_code(0);
    let start = walk.runner(carnet_path()).env("CARNET_DAEMON", "on");
    start.args(["daemon", "start"]).run().expect_code(0);
    // It is in the log before the key stands in the work tree.
    let path = walk.repo.path().join("policy/jwks.json");
    let began = std::time::Instant::now();
    while !path.exists() {
        assert!(began.elapsed().as_secs() < 300, "{}", walk.carnet(&["status"]).stdout);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(audit(walk).contains("key-change at auth rotate by "), "{}", audit(walk));
}
