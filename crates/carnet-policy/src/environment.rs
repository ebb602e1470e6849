//! Which variables a lane may name.
//!
//! A lane's environment is a whole environment: nothing is inherited. Variables that make a program load,
//! run or obey something else are refused here, so that no review has to remember them all.

/// Longest value, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// Names that no lane can set, whatever the value.
const REFUSED: &[&str] = &[
    // Where programs and the loader look.
    "PATH",
    "HOME",
    "IFS",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "HOSTALIASES",
    "XDG_CONFIG_HOME",
    // Shells.
    "ENV",
    "BASH_ENV",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    // Interpreters.
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONBREAKPOINT",
    "PYTHONINSPECT",
    "PYTHONUSERBASE",
    "PYTHONWARNINGS",
    "PYTHONEXECUTABLE",
    "PYTHONPLATLIBDIR",
    "RUBYOPT",
    "RUBYLIB",
    "PERL5OPT",
    "PERL5LIB",
    "PERL5DB",
    "PERLLIB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "MAVEN_OPTS",
    "MAVEN_ARGS",
    "GRADLE_OPTS",
    "JAVA_OPTS",
    // Builders.
    "MAKEFLAGS",
    "MAKEFILES",
    "MFLAGS",
    "GNUMAKEFLAGS",
    "CC",
    "CXX",
    "LD",
    "AR",
    "RUSTC",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "GOFLAGS",
    "GOENV",
    "CFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "PYTEST_ADDOPTS",
    "PYTEST_PLUGINS",
    "MYPYPATH",
    // Options and helpers of single tools.
    "TAR_OPTIONS",
    "GZIP",
    "GREP_OPTIONS",
    "RIPGREP_CONFIG_PATH",
    "LESSOPEN",
    "LESSCLOSE",
    "PAGER",
    "EDITOR",
    "VISUAL",
    "BROWSER",
    "PSQLRC",
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "PGHOST",
    "SSH_ASKPASS",
];

/// Families of names that no lane can set.
const REFUSED_PREFIXES: &[&str] =
    &["LD_", "DYLD_", "BASH_FUNC_", "GIT_", "CARGO_", "NPM_CONFIG_", "UV_", "PIP_", "CARNET_"];

/// Harmless members of those families.
const EXCEPTED: &[&str] = &[
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_DATE",
    "CARGO_TERM_COLOR",
    "CARGO_NET_OFFLINE",
    "CARGO_INCREMENTAL",
    "UV_OFFLINE",
];

/// Checks one variable; the error is a lowercase fragment.
pub(crate) fn check(name: &str, value: &str) -> Result<(), String> {
    let first = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let word = |byte: u8| first(byte) || byte.is_ascii_digit();
    if !name.bytes().next().is_some_and(first) || !name.bytes().all(word) || name.len() > 128 {
        return Err("a variable's name is `[A-Z_][A-Z0-9_]*`".to_owned());
    }
    let family = REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if REFUSED.contains(&name) || (family && !EXCEPTED.contains(&name)) {
        return Err("can make a program run or load something else".to_owned());
    }
    if value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(format!("has a control character or more than {VALUE_BYTES_MAX} bytes"));
    }
    Ok(())
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
}
