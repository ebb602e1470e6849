//! Which variables a lane may name, and which a caller may hold.
//!
//! A lane's environment is a whole environment: nothing is inherited. Variables that make a program load,
//! run or obey something else are refused here, so that no review has to remember them all.
//!
//! Invariant: what a lane could not name is refused from a caller too, whatever its case.

use std::collections::BTreeMap;

/// Longest value that a lane gives, in bytes.
const VALUE_BYTES_MAX: usize = 4096;
/// Most variables that a caller may hold; more are refused unread.
const GIVEN_MAX: usize = 4096;

/// Names that no lane can set, whatever the value.
const REFUSED: &[&str] = &[
    // Where programs and the loader look.
    "PATH",
    "HOME",
    "IFS",
    "CDPATH",
    "GLOBIGNORE",
    "GCONV_PATH",
    "GETCONF_DIR",
    "LOCPATH",
    "NLSPATH",
    "NIS_PATH",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "RES_OPTIONS",
    "RESOLV_HOST_CONF",
    "GLIBC_TUNABLES",
    "MALLOC_TRACE",
    "TZDIR",
    "TERMINFO",
    "TERMINFO_DIRS",
    "TERMCAP",
    "TERMPATH",
    // Shells.
    "ENV",
    "BASH_ENV",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "ZDOTDIR",
    "FPATH",
    "INPUTRC",
    "FCEDIT",
    // Interpreters.
    "RUBYOPT",
    "RUBYLIB",
    "RUBYSHELL",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_GEMFILE",
    "PERLLIB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "LUA_INIT",
    "LUA_PATH",
    "LUA_CPATH",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "JAVA_OPTS",
    "JAVA_HOME",
    "CLASSPATH",
    "R_PROFILE",
    "OCAMLRUNPARAM",
    "ERL_FLAGS",
    "ERL_AFLAGS",
    "ERL_ZFLAGS",
    "ELECTRON_RUN_AS_NODE",
    "TS_NODE_PROJECT",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    // Builders and compilers.
    "MFLAGS",
    "GNUMAKEFLAGS",
    "CC",
    "CXX",
    "CPP",
    "LD",
    "AR",
    "AS",
    "NM",
    "RANLIB",
    "STRIP",
    "LINKER",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "LIBRARY_PATH",
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "CFLAGS",
    "CPPFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "LIBS",
    "GOPATH",
    "GOROOT",
    "GOBIN",
    "GOENV",
    "GOFLAGS",
    "GOPROXY",
    "GONOSUMDB",
    "GONOSUMCHECK",
    "GOSUMDB",
    "GOPRIVATE",
    "GOINSECURE",
    "GOTOOLCHAIN",
    "GOWORK",
    "GOTOOLDIR",
    "GO111MODULE",
    "CGO_CFLAGS",
    "CGO_LDFLAGS",
    "CGO_CPPFLAGS",
    "CGO_CXXFLAGS",
    "CGO_CFLAGS_ALLOW",
    "CGO_LDFLAGS_ALLOW",
    "M2_HOME",
    "MYPYPATH",
    // Options, configurations and helpers of single tools.
    "TAR_OPTIONS",
    "TAPE",
    "RSH",
    "GZIP",
    "BZIP",
    "BZIP2",
    "XZ_OPT",
    "XZ_DEFAULTS",
    "ZSTD_CLEVEL",
    "GREP_OPTIONS",
    "RIPGREP_CONFIG_PATH",
    "LESS",
    "LESSOPEN",
    "LESSCLOSE",
    "LESSEDIT",
    "PAGER",
    "MANPAGER",
    "BAT_PAGER",
    "EDITOR",
    "VISUAL",
    "BROWSER",
    "SEQUENCE_EDITOR",
    "CTAGS",
    "ETAGS",
    "DIFF",
    "CURL_HOME",
    "WGETRC",
    "NETRC",
    "KRB5_CONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SQLITE_HISTORY",
    "VIMINIT",
    "EXINIT",
    "JQ_LIBRARY_PATH",
    "SCREENRC",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "ALEMBIC_CONFIG",
    "DATABASE_URL",
    "SQLALCHEMY_DATABASE_URI",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Families of names that no lane can set.
const REFUSED_PREFIXES: &[&str] = &[
    "LD_",
    "DYLD_",
    "BASH_",
    "GIT_",
    "SSH_",
    "GPG_",
    "GNUPG",
    "XDG_",
    "SUDO_",
    "PYTHON",
    "PYTEST_",
    "MYPY_",
    "RUFF_",
    "UV_",
    "PIP_",
    "PIPX_",
    "POETRY_",
    "PDM_",
    "NODE_",
    "NPM_",
    "YARN_",
    "PNPM_",
    "COREPACK_",
    "BUN_",
    "DENO_",
    "PERL5",
    "MAKE",
    "CMAKE_",
    "NINJA_",
    "CARGO_",
    "RUST",
    "CCACHE_",
    "SCCACHE_",
    "DISTCC_",
    "PKG_CONFIG",
    "MAVEN_",
    "GRADLE_",
    "PG",
    "PSQL",
    "OPENSSL_",
    "GTK_",
    "QT_",
    "DOTNET_",
    "BUF_",
    "PROTOC",
    "OPENAPI_",
    "TREE_SITTER_",
    "VALE_",
    "CARNET_",
    "DOCKER_",
    "KUBE",
    "ASAN_",
    "UBSAN_",
    "LSAN_",
    "TSAN_",
    "MSAN_",
];

/// Harmless members of those families.
const EXCEPTED: &[&str] = &[
    "CARGO_TERM_COLOR",
    "CARGO_NET_OFFLINE",
    "CARGO_INCREMENTAL",
    "UV_OFFLINE",
    "UV_NO_PROGRESS",
    "PYTHONHASHSEED",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "PYTHONUTF8",
    "PYTHONIOENCODING",
    "PYTHONNOUSERSITE",
    "PYTHONSAFEPATH",
    "PYTHONFAULTHANDLER",
    "NODE_ENV",
    "NODE_NO_WARNINGS",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "XDG_SESSION_ID",
    "XDG_SESSION_TYPE",
];

/// Who wrote a commit, and when: a lane may say it, a caller may not.
const IDENTITY: &[&str] = &[
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_DATE",
];

/// Directories that a caller's `PATH` may list.
const SYSTEM_DIRS: [&str; 8] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/games",
    "/usr/local/games",
];

/// Shells that a caller's `SHELL` may name, there or below `/usr`.
const USUAL_SHELLS: [&str; 5] = ["/bin/bash", "/bin/sh", "/bin/dash", "/bin/zsh", "/bin/fish"];

/// Checks one variable that a lane gives; the error is a lowercase fragment.
pub(crate) fn check(name: &str, value: &str) -> Result<(), String> {
    let first = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let word = |byte: u8| first(byte) || byte.is_ascii_digit();
    if !name.bytes().next().is_some_and(first) || !name.bytes().all(word) || name.len() > 128 {
        return Err("a variable's name is `[A-Z_][A-Z0-9_]*`".to_owned());
    }
    if steers(name) && !IDENTITY.contains(&name) {
        return Err("can make a program run or load something else".to_owned());
    }
    if value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(format!("has a control character or more than {VALUE_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// Returns the first variable of a caller's environment that decides against a command, and why.
///
/// Variables that the lane names are passed over: the command gets the lane's value, not the caller's.
pub(crate) fn refused_of<'g>(
    given: &'g BTreeMap<String, String>,
    named: &BTreeMap<String, String>,
) -> Option<(&'g str, &'static str)> {
    if given.len() > GIVEN_MAX {
        let first = given.keys().next().map_or("", String::as_str);
        return Some((first, "stands among too many variables"));
    }
    let unnamed = given.iter().filter(|(name, _)| !named.contains_key(*name));
    unnamed.filter_map(|(name, value)| Some((name.as_str(), refusal(name, value)?))).next()
}

fn refusal(name: &str, value: &str) -> Option<&'static str> {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return Some("is no variable at all");
    }
    // A function that bash would import, and programs it starts after it.
    if value.trim_start().starts_with("()") {
        return Some("holds a function, which a shell would take in");
    }
    let is_usual = match name {
        "PATH" => value.split(':').all(|dir| SYSTEM_DIRS.contains(&dir)),
        "HOME" => is_usual_home(value),
        "SHELL" => USUAL_SHELLS.contains(&value.strip_prefix("/usr").unwrap_or(value)),
        _ => false,
    };
    if is_usual {
        return None;
    }
    // npm, curl and others read their variables in any case.
    steers(&name.to_ascii_uppercase()).then_some("can make a program run or load something else")
}

/// Tells whether a person's own files would be there: of root, or of a user by name.
fn is_usual_home(value: &str) -> bool {
    let user = value.strip_prefix("/home/").or_else(|| value.strip_prefix("/Users/"));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    value == "/root" || user.is_some_and(|user| !user.is_empty() && user.bytes().all(is_plain))
}

/// Tells whether a variable of this name, in capitals, makes programs load, run or obey something.
fn steers(name: &str) -> bool {
    let family = REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    (family && !EXCEPTED.contains(&name)) || REFUSED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_variables_pass() {
        for name in ["LANG", "TZ", "SOURCE_DATE_EPOCH", "GIT_AUTHOR_NAME", "PYTHONHASHSEED", "_X1"]
        {
            assert_eq!(check(name, "value"), Ok(()), "{name}");
        }
    }

    #[test]
    fn variables_that_execute_are_refused() {
        for name in [
            "LD_PRELOAD",
            "GIT_SSH_COMMAND",
            "GIT_DIR",
            "NODE_OPTIONS",
            "PYTHONPATH",
            "BASH_ENV",
            "MAKEFILES",
            "PATH",
            "DYLD_INSERT_LIBRARIES",
            "RUSTC_WRAPPER",
            "CARGO_HOME",
            "lang",
            "",
            "A-B",
            "1A",
            "A=B",
        ] {
            assert!(check(name, "value").is_err(), "{name}");
        }
        assert!(check("LANG", "a\nb").is_err());
    }

    fn given(name: &str, value: &str) -> Option<&'static str> {
        let given = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let named = BTreeMap::from([("CC".to_owned(), "cc".to_owned())]);
        refused_of(&given, &named).map(|(_, why)| why)
    }

    #[test]
    fn a_caller_may_hold_what_steers_nothing() {
        for (name, value) in [
            ("LANG", "C"),
            ("lang", "C"),
            ("TERM", "xterm"),
            ("CI", "true"),
            ("USER", "dev"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("CC", "evil"),
            ("CARGO_TERM_COLOR", "always"),
            ("HOME", "/root"),
            ("HOME", "/home/some-one_2"),
            ("SHELL", "/usr/bin/zsh"),
        ] {
            assert_eq!(given(name, value), None, "{name}");
        }
    }

    #[test]
    fn a_caller_may_not_hold_what_steers_in_any_case_or_value() {
        for (name, value) in [
            ("PATH", "/tmp:/usr/bin"),
            ("PATH", "/usr/bin:"),
            ("PATH", ""),
            ("HOME", "/tmp/x"),
            ("HOME", "/home/"),
            ("HOME", "/home/a/.."),
            ("SHELL", "/tmp/bash"),
            ("shell", "/bin/bash"),
            ("npm_config_script_shell", "x"),
            ("http_proxy", "x"),
            ("GIT_AUTHOR_NAME", "someone else"),
            ("BASH_FUNC_ls%%", "() { id; }"),
            ("X", "() { :; }; id"),
            ("A=B", "x"),
            ("", "x"),
            ("X", "a\0b"),
            ("LD_PRELOAD", ""),
        ] {
            assert!(given(name, value).is_some(), "{name}={value}");
        }
    }
}
